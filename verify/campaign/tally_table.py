"""What a campaign has counted, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from reports.commands import WIDTH
from reports.tables.numbers import percent
from verify.campaign.tally import MODES, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from verify.campaign.tally import Tally


def show(console: Console, tally: Tally, machines: Mapping[str, Tally]) -> None:
    """Print the table of checks, every false alarm, every missed fault, and both figures.

    Args:
        console: where.
        tally: of all seeds.
        machines: the same by CPU; where there are several, each has a table of its own.
    """
    for machine, part in machines.items():
        console.print(_table(part, machine if len(machines) > 1 else ""))
    for alarm in tally.alarms:
        console.print(f"false alarm: {alarm}", highlight=False)
    for line in tally.missed():
        console.print(f"missed: {line}", highlight=False)
    console.print(summary(tally), highlight=False)


def _table(tally: Tally, machine: str) -> Table:
    title = f"{tally.seeds} seeds on {machine}" if machine else None
    table = Table(title=title, title_justify="left", width=WIDTH, pad_edge=False,
                  header_style="bold")  # fmt: skip
    for name in ("check", "judged", "false alarms", "largest used", "where"):
        table.add_column(name, overflow="fold")
    for mode in MODES:
        nearest = tally.nearest.get(mode)
        false = sum(alarm.mode == mode for alarm in tally.alarms)
        where = f"seed {nearest.seed}, {nearest.case}, {nearest.tap}" if nearest else ""
        used = percent(nearest.used) if nearest else "-"
        table.add_row(mode, f"{tally.checks[mode]:,}", str(false), used, where)
    return table
