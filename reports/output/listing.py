"""`python -m reports table`: one table of saved runs, for the terminal or for other programs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd

from reports.saved.records import RecordsError, Run, read_run
from reports.tables.frames import checks_frame, frame_of, layers_frame, modes_frame
from reports.tables.markdown import layer_table, markdown_table
from reports.tables.tidy import NAMES, table_of, write_csv
from reports.tables.units import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMATS = ("text", "markdown", "csv")

BY = ("layer", "kind", *NAMES)
"""`layer` and `kind` sum up the checks of a verification; the others list records of one kind."""


def listing(folders: Sequence[Path], by: str, form: str) -> str:
    """The table of those runs that have what is asked for, one under the other.

    Raises:
        RecordsError: if a run cannot be read, or none has such a table.
    """
    runs = [opened(read_run(folder)) for folder in folders]
    found = [(run, frame) for run in runs if len(frame := _frame(run, by))]
    if not found:
        places = ", ".join(run.folder.name for run in runs)
        raise RecordsError(f"there is nothing to list by {by} in {places}")
    if form == "csv":
        return _csv([frame.assign(run=run.folder.name) for run, frame in found])
    return "\n".join(
        f"{'## ' if form == 'markdown' else ''}{run.folder.name}\n\n{_print(frame, by, form)}\n"
        for run, frame in found
    )


def _frame(run: Run, by: str) -> pd.DataFrame:
    if by in ("layer", "kind") and run.of("check"):
        checks = checks_frame(run)
        order = (run.end or {}).get("order") or ()
        return layers_frame(checks, order) if by == "layer" else modes_frame(checks)
    return frame_of(run, by)


def _print(frame: pd.DataFrame, by: str, form: str) -> str:
    if by == "layer" and "used_free" in frame:
        return layer_table(frame, "pipe" if form == "markdown" else "simple")
    shown = table_of(frame).to_pandas().dropna(axis="columns", how="all")
    return markdown_table(shown.astype(object), "pipe" if form == "markdown" else "simple")


def _csv(frames: Sequence[pd.DataFrame]) -> str:
    whole = table_of(pd.concat(frames, ignore_index=True))
    text = io.BytesIO()
    write_csv(whole, text)
    return text.getvalue().decode("utf-8")
