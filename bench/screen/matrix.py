"""The answer in the terminal, and a table of ratios to MAX: arms by workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.tables.numbers import brief, counted, figure
from reports.tables.paired import name_of, standings
from reports.tables.speed_sentence import answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from rich.console import Console

    from reports.tables.paired import Cell, Standing

SIGNS = {"faster": "+", "slower": "-", "same": "=", "open": "?"}
STYLES = {"faster": "green", "slower": "bold red", "same": "", "open": "yellow", "none": "yellow"}
"""What a ratio says of MAX, as a sign and a colour."""

CELL = 22
"""Columns of a ratio with its interval, its sign, and the space before it."""

LEGEND = (
    "Times over {own}'s, pair by pair [95% interval]: above 1 {own} is faster. + {own} is faster, "
    "- slower, = the same within the margin, ? not conclusive."
)


def show_answer(console: Console, records: Sequence[Mapping[str, Any]]) -> None:
    """Print whether MAX is faster than what else ran, then each arm beside it."""
    for sentence in answers(records):
        console.print(sentence, style="bold", markup=False, highlight=False)
    for table in matrices(records, console.width):
        console.print(table)
    if text := legend(records):
        console.print(text, style="dim", markup=False, highlight=False)
        console.print()


def matrices(records: Sequence[Mapping[str, Any]], width: int) -> Iterator[Table]:
    """A table for each competition, and for so many workloads as fit side by side."""
    found = [one for one in standings(records) if one.main and one.arms]
    for standing in found:
        named = max(map(len, [standing.own, *standing.arms]), default=0)
        fits = max(1, (width - named) // CELL)
        for start in range(0, len(standing.workloads), fits):
            yield _matrix(standing, standing.workloads[start : start + fits], len(found) > 1)


def legend(records: Sequence[Mapping[str, Any]]) -> str:
    """How to read them; empty where there are none."""
    own = [name_of(one.own) for one in standings(records) if one.main and one.arms]
    return LEGEND.format(own=own[0]) if own else ""


def _matrix(standing: Standing, workloads: Sequence[str], several: bool) -> Table:
    model, device, threads = standing.place
    title = f"{model} on {device}, {counted(threads, 'thread')}" if several else None
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False,
        header_style="bold",
    )  # fmt: skip
    table.add_column("arm")
    for workload in workloads:
        table.add_column(workload, justify="right")
    table.add_row(standing.own, *(_own(standing.rows[workload]) for workload in workloads))
    for arm in standing.arms:
        cells = (standing.cells.get((arm, workload)) for workload in workloads)
        table.add_row(arm, *(_cell(cell) for cell in cells))
    return table


def _own(row: Mapping[str, Any]) -> Text:
    """The own arm's time, or why it has none."""
    if row.get("status") != "VALID":
        return Text(str(row.get("status")), "bold red")
    seconds = figure(row.get("median_s"))
    return Text("-" if seconds is None else f"{brief(1e3 * seconds)} ms  ")


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text("-")
    sign = SIGNS.get(cell.says, " ") if cell.ratio else " "
    return Text(f"{cell.text} {sign}", STYLES[cell.says])
