"""What a person sees of an endpoint's run in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from reports.commands import WIDTH
from reports.tables.numbers import percent
from verify.endpoint.written import OPERATION, case_of, treated_of
from verify.screen.colours import STYLES

if TYPE_CHECKING:
    from typing import Any

    from rich.console import Console

    from verify.endpoint.noticed import Planted
    from verify.endpoint.written import Outcome

STATES = {"caught": "PASS", "missed": "UNDERPOWERED", "not applicable": "SKIP"}
"""Verdicts of planted faults, for their colours."""


def show(console: Console, outcome: Outcome) -> None:
    """Print every case, what was planted, the first wrong answer, and the verdict."""
    cases = [case_of(one) for one in outcome.found]
    console.print(_cases("case", cases))
    if outcome.treated:
        console.print(_treated([treated_of(one) for one in outcome.treated]))
    if outcome.planted:
        console.print(_planted(outcome.planted))
    if wrong := outcome.first_wrong():
        lines = [f"First wrong answer, in {wrong['case']}: {wrong['message']}"]
        lines += [f"  asked: {wrong['text']}"] * (wrong["group"] != OPERATION)
        lines += [f"  expected {wrong['expected']}, got {wrong['got']}"] * bool(wrong["expected"])
        for line in lines:
            console.print(line, highlight=False, markup=False)


def show_verdict(console: Console, outcome: Outcome) -> None:
    """Print the verdict's line."""
    console.print(f"Verdict: {outcome.line()}", highlight=False, markup=False, soft_wrap=True)


def _said(verdict: str) -> Text:
    return Text(verdict, STYLES.get(verdict, "yellow"))


def _cases(title: str, cases: list[dict[str, Any]]) -> Table:
    table = _table((title, "answers", "tokens", "ties", "used", "verdict", "what was seen"))
    for one in cases:
        table.add_row(
            one["name"],
            str(one["answers"]),
            str(one["tokens"]),
            str(one["ties"] or "-"),
            "-" if one["used"] is None else percent(one["used"]),
            _said(one["verdict"]),
            Text(one["message"]),
        )
    return table


def _treated(cases: list[dict[str, Any]]) -> Table:
    table = _table(("bad question or client", "status", "verdict", "what the server says"))
    for one in cases:
        table.add_row(
            one["name"], str(one["status"] or "-"), _said(one["verdict"]), Text(one["message"])
        )
    return table


def _planted(planted: list[Planted]) -> Table:
    table = _table(("planted fault", "state", "noticed in", "what is wrong there"))
    for one in planted:
        state = Text(one.state, STYLES.get(STATES[one.state], "yellow"))
        table.add_row(one.fault, state, one.case or "-", Text(one.message or one.text))
    return table


def _table(names: tuple[str, ...]) -> Table:
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    figures = ("answers", "tokens", "ties", "used", "status")
    for name in names:
        table.add_column(name, justify="right" if name in figures else "left", overflow="fold",
                         no_wrap=name in (*figures, "verdict"))  # fmt: skip
    return table
