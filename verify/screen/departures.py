"""Where and why a run fails: the first divergence, its diagnosis and graph, the rows that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from reference.taps import short_name, with_layer
from reports.commands import WIDTH
from reports.tables.frames import verdict_alone
from reports.tables.kinds import LISTED, sentences
from verify.screen.full_tables import LEGEND, layer_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from rich.console import Console

    from verify.locate.listing import Line
    from verify.outcome import Outcome

    Row = Mapping[Any, Any]

MOST_LINES = 6
"""Operations of a failing stage's graph that the terminal shows."""

MOST_FAILING = 6
"""Failing places whose rows are shown with their neighbours, one of all blocks; `--table` shows
every row."""


def show_divergence(console: Console, outcome: Outcome) -> None:
    """Print the first divergence, what is computed there instead, and whose fault that is."""
    divergence = outcome.first_divergence
    first = outcome.earliest(outcome.checks)
    if divergence is None or first is None or first.mode in LISTED:
        return
    console.print(Text(f"First divergence: {divergence.message}", "bold red"))
    if divergence.diagnosis:
        console.print(Text(f"Diagnosis: {divergence.diagnosis}", "bold red"))
    for finding in outcome.findings[:1]:
        console.print(f"This covers {finding.stages} of {finding.of} failing comparisons.")
    if divergence.blame:
        console.print(Text(f"Blame: {divergence.blame}", "bold red"))
    _show_findings(console, outcome)


def _show_findings(console: Console, outcome: Outcome) -> None:
    """Print what else is wrong, and the graph of the first failing stage."""
    for finding in outcome.findings[1:]:
        console.print(Text(f"Also: {finding.text}", "red"))
    explained = sum(finding.stages for finding in outcome.findings)
    rest = outcome.findings[0].of - explained if outcome.findings else 0
    if rest > 0:
        console.print(f"{rest} further failing comparisons are not explained here.")
    if outcome.listing and outcome.listing.summary:
        listing = outcome.listing
        console.print(Text(f"Graph of {short_name(listing.tap)}: {listing.summary}", "red"))
        for line in listing.around(MOST_LINES):
            console.print(Text(_graph_line(line), "bold red" if line.departs else "dim"))
            if line.departs and line.code:
                console.print(Text(f"    {line.code[: WIDTH - 4]}", "red"))


def _graph_line(line: Line) -> str:
    """`> mul  2x4x33x33  q k^T, 0.0883883  my_model.py:42`, as wide as the terminal."""
    mark = ">" if line.departs else " "
    what = f"= {line.quantity}" if line.quantity else f"({line.operands})"
    room = WIDTH - 38 - len(line.place)
    what = what if len(what) <= room else f"{what[: room - 3]}..."
    return f"{mark} {line.kind[:18]:18} {line.shape:14} {what:{room}} {line.place}".rstrip()


def show_sentences(console: Console, outcome: Outcome, checks: pd.DataFrame) -> None:
    """Print the answers about a package, and what fails that is not a comparison of numbers."""
    answers = outcome.more().get("answers") or {}
    if answers:
        said = [
            f"{name} {one['verdict']} ({one['seconds']:.0f} s)" for name, one in answers.items()
        ]
        console.print(f"Answers: {', '.join(said)}", highlight=False)
    for _, sentence in sentences(checks):
        console.print(Text(f"- {sentence}", "red"))


def show_failing_rows(console: Console, rows: Sequence[Row]) -> None:
    """Print the rows of the first places that fail, and of their neighbours.

    Args:
        console: where to.
        rows: of all places, as `verify.screen.full_tables.layer_rows` returns them.
    """
    failing = failing_places(rows)
    if not failing:
        return
    chosen = first_of_each(rows, failing)[:MOST_FAILING]
    console.print(layer_table(with_neighbours(rows, chosen)))
    console.print(LEGEND, style="dim")
    if more := len(failing) - len(chosen):
        console.print(f"{more} further places fail: the map shows which, --table their rows.")


def failing_places(rows: Sequence[Row]) -> list[int]:
    """Which rows fail: alone, or, where none does, after earlier places."""
    alone = [n for n, row in enumerate(rows) if verdict_alone(row) not in ("PASS", "SKIP")]
    return alone or [n for n, row in enumerate(rows) if row["verdict"] not in ("PASS", "SKIP")]


def first_of_each(rows: Sequence[Row], numbers: Sequence[int]) -> list[int]:
    """Of rows of the same place in several blocks, the first."""
    places = (with_layer(str(rows[number]["tap"]), "*") for number in numbers)
    firsts: dict[str, int] = {}
    for place, number in zip(places, numbers, strict=True):
        firsts.setdefault(place, number)
    return list(firsts.values())


def with_neighbours(rows: Sequence[Row], chosen: Sequence[int]) -> list[Row | None]:
    """Those rows with the one before and the one after each; None where some are left out."""
    near = sorted({n for one in chosen for n in (one - 1, one, one + 1) if 0 <= n < len(rows)})
    shown: list[Row | None] = []
    for index, number in enumerate(near):
        if index and number > near[index - 1] + 1:
            shown.append(None)
        shown.append(rows[number])
    return shown
