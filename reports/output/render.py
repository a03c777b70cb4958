"""Everything that is made from a run's records, written next to them: page, tables, JUnit XML."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from reports.output.junit import junit
from reports.output.summary import summary
from reports.pages.bench_page import bench_page
from reports.pages.endpoint_page import endpoint_page
from reports.pages.machines_page import machines_page
from reports.pages.rendering import MISFITS
from reports.pages.spread_page import spread_page
from reports.pages.sweep_page import sweep_page
from reports.pages.training_page import training_page
from reports.pages.verify_page import verify_page
from reports.saved.files import JUNIT, PAGE, append, write
from reports.saved.manifest import note_made
from reports.saved.records import RecordsError, Run, read_run
from reports.tables.frames import (
    checks_frame,
    effects_frame,
    frame_of,
    layers_frame,
    modes_frame,
    rows_frame,
)
from reports.tables.machine_rows import machine_rows
from reports.tables.markdown import bench_markdown, endpoint_markdown, verify_markdown
from reports.tables.spread_markdown import spread_markdown
from reports.tables.spread_work import frame, node_rows, seed_rows
from reports.tables.tidy import NAMES, kinds_of, write_tables
from reports.tables.training_markdown import training_markdown
from reports.tables.unit_markdown import machines_markdown, sweep_markdown
from reports.tables.units import opened

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Set by GitHub Actions to the file that a step's summary is appended to."""


def render(
    folder: Path, extra_summary: Path | None = None, *, announced: bool = True
) -> list[Path]:
    """Make everything again from a run's saved records, and return the files.

    Args:
        folder: of the run.
        extra_summary: a file to which a Markdown summary is appended, besides the one that
            `$GITHUB_STEP_SUMMARY` names.
        announced: whether a summary is appended to the file of that variable; a part of a larger
            run is not announced.

    Raises:
        RecordsError: if the records cannot be read, or the files cannot be written.
    """
    run = read_run(folder)
    renderers = {"verify": _render_verify, "bench": _render_bench, "endpoint": _render_endpoint,
                 "campaign": _render_spread, "rules": _render_spread,
                 "sweep": _render_sweep, "machines": _render_machines,
                 "training": _render_training}  # fmt: skip
    renderer = renderers.get(run.kind)
    if renderer is None:
        raise RecordsError(f"{folder} holds a run of an unknown kind, {run.kind!r}")
    files = _guarded(lambda: renderer(run), run)
    with suppress(OSError):  # a folder that cannot be written was refused before
        note_made(folder, files)
    named = os.environ.get(STEP_SUMMARY) if announced else None
    targets = [path for path in (extra_summary, Path(named) if named else None) if path]
    if targets:
        text = _guarded(lambda: summary(run), run)
        for path in dict.fromkeys(targets):
            append(path, text)
    return files


def _guarded(make: Callable[[], T], run: Run) -> T:
    """Say which run has records that do not fit, rather than where the code tripped over them."""
    try:
        return make()
    except RecordsError:
        raise
    except MISFITS as error:
        raise RecordsError(
            f"{run.folder} has records that do not fit format {run.header['schema_version']}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _render_verify(run: Run) -> list[Path]:
    checks = checks_frame(run)
    layers = layers_frame(checks, (run.end or {}).get("order") or ())
    text = verify_markdown(run, checks, layers, modes_frame(checks))
    files = [write(run.folder / "checks.md", text), *_tables(run, {"check": checks})]
    files.append(write(run.folder / JUNIT, junit(run, checks)))
    return [write(run.folder / PAGE, verify_page(run, checks, layers)), *files]


def _render_bench(run: Run) -> list[Path]:
    rows, effects = rows_frame(run), effects_frame(run)
    files = [write(run.folder / "bench.md", bench_markdown(run, rows, effects))]
    loads = run.of("load_plan")
    own = {"load": frame_of(run, "load")} if loads else {"row": rows, "effect": effects}
    files += _tables(run, own)
    files.append(write(run.folder / JUNIT, junit(run)))
    return [write(run.folder / PAGE, bench_page(run)), *files]


def _render_endpoint(run: Run) -> list[Path]:
    files = [write(run.folder / "cases.md", endpoint_markdown(run))]
    files += _tables(run, {"case": frame_of(run, "case")})
    files.append(write(run.folder / JUNIT, junit(run)))
    return [write(run.folder / PAGE, endpoint_page(run)), *files]


def _render_spread(run: Run) -> list[Path]:
    files = [write(run.folder / f"{run.kind}.md", spread_markdown(run))]
    for name, rows in (("seeds", seed_rows(run)), ("nodes", node_rows(run))):
        if rows:
            files += write_tables(run.folder, name, frame(rows))
    files.append(write(run.folder / JUNIT, junit(run)))
    return [write(run.folder / PAGE, spread_page(run)), *files]


def _render_training(run: Run) -> list[Path]:
    files = [write(run.folder / "training.md", training_markdown(run))]
    files += _tables(run, {"checkpoint": frame_of(run, "checkpoint")})
    files.append(write(run.folder / JUNIT, junit(run)))
    return [write(run.folder / PAGE, training_page(run)), *files]


def _render_sweep(run: Run) -> list[Path]:
    found = opened(run)
    files = [write(run.folder / "sweep.md", sweep_markdown(found))]
    files += _tables(found, {"cell": frame_of(found, "cell")})
    files.append(write(run.folder / JUNIT, junit(found)))
    return [write(run.folder / PAGE, sweep_page(found)), *files]


def _render_machines(run: Run) -> list[Path]:
    found = opened(run)
    files = [write(run.folder / "machines.md", machines_markdown(found))]
    files += _tables(found, {"machine": pd.DataFrame(machine_rows(found), dtype=object)})
    files.append(write(run.folder / JUNIT, junit(found)))
    return [write(run.folder / PAGE, machines_page(found)), *files]


def _tables(run: Run, frames: dict[str, pd.DataFrame]) -> list[Path]:
    """One table for each kind of record; the run's own kind always has one, if only a header."""
    kinds = dict.fromkeys([next(iter(frames)), *kinds_of(run)])
    return [
        path
        for kind in kinds
        for path in write_tables(
            run.folder, NAMES[kind], frames[kind] if kind in frames else frame_of(run, kind)
        )
    ]
