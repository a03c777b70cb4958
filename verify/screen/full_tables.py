"""Every place, every kind of check, every planted fault and mutant of a run, in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from reference.taps import short_name
from reports.commands import WIDTH
from reports.tables.frames import (
    computing_taps,
    gravest_by_tap,
    layers_frame,
    missing,
    verdict_alone,
)
from reports.tables.kinds import by_kind
from reports.tables.numbers import multiple, percent, scientific, shape
from verify.screen.colours import of_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from verify.judge.verdict import Check
    from verify.outcome import Outcome

LEGEND = """\
error, PyTorch's: rms distance to float64 of each stage alone, in its worst case. used: share of
the allowed error. free run: the same after all earlier stages. ← is what the module is given."""


def layer_rows(checks: pd.DataFrame, order: list[str]) -> list[Mapping[Any, Any]]:
    """One row for each computed tap: the worst of all cases, in isolation and running free.

    Args:
        checks: as `reports.tables.frames.frame_of_checks` returns them.
        order: taps in the order of execution.
    """
    computed = set(computing_taps(checks))
    return [
        row
        for row in gravest_by_tap(layers_frame(checks, order))
        if row["tap"] in computed or verdict_alone(row) != "PASS"
    ]


def layer_table(rows: Sequence[Mapping[Any, Any] | None]) -> Table:
    """Rows as `layer_rows` returns them; None where some are left out."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("tap", overflow="fold", min_width=22)  # long names fold, figures never
    for name in ("worst shape", "error", "PyTorch's", "used", "free run", "verdict"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(_layer_row(row) if row else ["..."]))
    return table


def _layer_row(row: Mapping[Any, Any]) -> list[str | Text]:
    free, verdict = row["verdict_free"], verdict_alone(row)
    return [
        short_name(row["tap"]),
        shape(row["shape"]),
        scientific(row["error"]),
        scientific(row["pytorch"]),
        percent(row["used"]),
        "" if missing(free) else Text(percent(row["used_free"]), "" if free == "PASS" else "red"),
        Text(verdict, of_verdict(verdict)),
    ]


def summary_table(checks: pd.DataFrame) -> Table:
    """One row for each kind of check."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("passed", justify="right", no_wrap=True)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for kind in by_kind(checks):
        table.add_row(
            kind.name,
            f"{kind.passed}/{kind.of}",
            percent(kind.used),
            Text(kind.verdict, of_verdict(kind.verdict)),
            Text(kind.seen),
        )
    return table


def power_table(outcome: Outcome) -> Table:
    """One row for each fault: was it caught, blamed on the right place, and by what margin."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("planted fault", no_wrap=True)
    table.add_column("blamed on", no_wrap=True)
    table.add_column("margin", justify="right", no_wrap=True)
    table.add_column("in MAX", justify="right", no_wrap=True)
    table.add_column("caught", no_wrap=True)
    table.add_column("what is computed instead", overflow="fold")
    in_max = {check.case: check for check in outcome.checks if check.mode == "max-power"}
    for check in outcome.checks:
        if check.mode == "power":
            table.add_row(*_power_row(check, in_max.get(check.case)))
    return table


def _power_row(check: Check, in_max: Check | None) -> list[str | Text]:
    verdict = Text(check.verdict, of_verdict(check.verdict))
    details = check.details
    if not details:
        return [check.case, "", "", "", verdict, Text(check.message)]
    return [
        check.case,
        short_name(details["blamed"]) or "-",
        multiple(details["margin"]),
        multiple((in_max.details or {}).get("margin")) if in_max else "",
        verdict,
        Text(details["found"]),
    ]


def mutants_table(outcome: Outcome) -> Table:
    """One row for each kind of mutant: caught, equivalent, and the weakest."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("mutants of the graph", overflow="fold")
    table.add_column("caught", justify="right", no_wrap=True)
    table.add_column("equivalent", justify="right", no_wrap=True)
    table.add_column("margin", justify="right", no_wrap=True)
    table.add_column("the weakest", overflow="fold")
    for check in outcome.mutants.checks():
        details = check.details or {}
        table.add_row(
            details["kind"],
            f"{details['caught']}/{details['judged']}",
            str(details["equivalent"]),
            multiple(details["margin"]),
            details["weakest"],
        )
    return table
