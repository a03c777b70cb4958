"""What a person sees of a run in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from reference.taps import short_name
from reports.commands import WIDTH
from reports.tables.frames import (
    computing_taps,
    frame_of_checks,
    gravest_by_tap,
    layers_frame,
    missing,
    verdict_alone,
)
from reports.tables.kinds import LISTED, by_kind, coverage_line, sentences
from reports.tables.numbers import multiple, percent, scientific, shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.console import Console

    from verify.judge.verdict import Check
    from verify.locate.listing import Line
    from verify.outcome import Outcome

LEGEND = """\
error, PyTorch's: rms distance to float64 of each stage alone, in its worst case. used: share of
the allowed error. free run: the same after all earlier stages. ← is what the module is given."""
STYLES = {"PASS": "green", "FAIL": "bold red", "ERROR": "bold red", "SKIP": "yellow"}
"""Colours of verdicts; UNDERPOWERED is yellow too."""


def checks_of(outcome: Outcome) -> pd.DataFrame:
    """Every check of a run in a frame, as the page has them."""
    return frame_of_checks([check.record() for check in outcome.checks])


def layer_table(checks: pd.DataFrame, order: list[str]) -> Table:
    """One row for each computed tap: the worst of all cases, in isolation and running free.

    Args:
        checks: as `checks_of` returns them.
        order: taps in the order of execution.
    """
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("tap", overflow="fold", min_width=22)  # long names fold, figures never
    for name in ("worst shape", "error", "PyTorch's", "used", "free run", "verdict"):
        table.add_column(name, justify="right", no_wrap=True)
    computed = set(computing_taps(checks))
    for row in gravest_by_tap(layers_frame(checks, order)):
        if row["tap"] in computed or verdict_alone(row) != "PASS":
            table.add_row(*_layer_row(row))
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
        Text(verdict, STYLES.get(verdict, "yellow")),
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
            Text(kind.verdict, STYLES.get(kind.verdict, "yellow")),
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
    verdict = Text(check.verdict, STYLES.get(check.verdict, "yellow"))
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


MOST_LINES = 6
"""Operations of a failing stage's graph that the terminal shows."""


def show_findings(console: Console, outcome: Outcome) -> None:
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


def show(console: Console, outcome: Outcome, *, power: bool = False) -> None:
    """Print the layer table, the summary, the coverage and the verdict; on request the faults."""
    checks = checks_of(outcome)
    if power:
        for table in (power_table(outcome), mutants_table(outcome)):
            if table.row_count:
                console.print(table)
    layers = layer_table(checks, outcome.order)
    if layers.row_count:
        console.print(layers)
        console.print(LEGEND, style="dim")
    console.print(summary_table(checks))
    show_sentences(console, outcome, checks)
    if outcome.expected:
        console.print(coverage_line(outcome.coverage()))
    for note in outcome.notes:
        console.print(Text(f"Note: {note}"))
    divergence = outcome.first_divergence
    first = outcome.earliest(outcome.checks)
    if divergence and first and first.mode not in LISTED:
        console.print(Text(f"First divergence: {divergence.message}", "bold red"))
        if divergence.diagnosis:
            console.print(Text(f"Diagnosis: {divergence.diagnosis}", "bold red"))
        for finding in outcome.findings[:1]:
            console.print(f"This covers {finding.stages} of {finding.of} failing comparisons.")
        if divergence.blame:
            console.print(Text(f"Blame: {divergence.blame}", "bold red"))
        show_findings(console, outcome)
    show_verdict(console, outcome)


def show_verdict(console: Console, outcome: Outcome) -> None:
    """Print the last line of a run's tables, and the only one with `--quiet`."""
    verdict = outcome.verdict
    note = "" if outcome.compiled else ", not compiled"
    console.print(Text(f"Verdict: {verdict}{note}", STYLES.get(verdict, "bold yellow")))
