"""Sweeps and tables of machines as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.tables.machine_rows import shown_rows
from reports.tables.markdown import markdown_table
from reports.tables.units import failed, machine_name, matrices

if TYPE_CHECKING:
    from reports.saved.records import Run
    from reports.tables.units import Answer, Line, Matrix

NOTHING = "No unit was measured.\n"


def sweep_markdown(run: Run) -> str:
    """The answers of an opened sweep, machine by machine, under a title."""
    return f"# Sweep {run.header.get('run_id', '')}\n\n{sweep_tables(run) or NOTHING}"


def sweep_tables(run: Run) -> str:
    """The tables alone; empty where nothing was measured."""
    found = matrices(run)
    parts = []
    for matrix in found:
        title = machine_name(matrix.machine, many=len(found) > 1)
        parts += [f"## {title}\n", markdown_table(_frame(matrix)), ""]
    return "\n".join([*parts, *_failed(run)])


def machines_markdown(run: Run) -> str:
    """The table of an opened run of `bench machines`, under a title."""
    return f"# Machines {run.header.get('run_id', '')}\n\n{machines_tables(run) or NOTHING}"


def machines_tables(run: Run) -> str:
    """The table alone; empty where nothing was measured."""
    rows = shown_rows(run)
    parts = [markdown_table(pd.DataFrame(rows, dtype=object).fillna("")), ""] if rows else []
    return "\n".join([*parts, *_failed(run)])


def words(answer: Answer | None) -> str:
    """`0.71 [0.69 to 0.73] FASTER`, or why there is no ratio."""
    if answer is None:
        return ""
    if not answer.ratio:
        return f"{answer.verdict}: {answer.why}"
    return " ".join(
        filter(None, (answer.ratio, f"[{answer.interval}]" if answer.interval else "",
                      answer.verdict))
    )  # fmt: skip


def pair(line: Line) -> str:
    """`max / torch`."""
    return f"{line.arm} / {line.versus}" if line.versus else line.arm


def _frame(matrix: Matrix) -> pd.DataFrame:
    columns = ["model", "dtype", "threads", "time of", *matrix.workloads]
    return pd.DataFrame([_line(line) for line in matrix.lines], columns=columns)


def _line(line: Line) -> list[str]:
    return [line.model, line.dtype, str(line.threads), pair(line), *map(words, line.answers)]


def _failed(run: Run) -> list[str]:
    found = failed(run)
    lines = [f"- {key}: {reason}" for key, reason in found]
    return ["## Units without a result\n", *lines, ""] if found else []
