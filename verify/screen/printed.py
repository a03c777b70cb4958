"""A run in the terminal, in the order of reading: verdict, map, what is not PASS; then figures.

Every row of the tables is printed on request (`--table`); a line says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from reference.taps import short_name
from reports.commands import WIDTH
from reports.figures.model_map import place_map
from reports.tables.frames import (
    computing_taps,
    frame_of_checks,
    layers_frame,
    worst,
)
from reports.tables.kinds import LISTED, MODES, Kind, by_kind, coverage_line
from reports.tables.numbers import counted, percent
from verify.pairing.table import pairing_line, pairing_table
from verify.screen.colours import of_verdict
from verify.screen.departures import show_divergence, show_failing_rows, show_sentences
from verify.screen.full_tables import (
    LEGEND,
    layer_rows,
    layer_table,
    mutants_table,
    power_table,
    summary_table,
)
from verify.screen.map_lines import map_lines

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from reports.figures.model_map import Map
    from verify.outcome import Outcome

TELLING = (
    "coverage", "precision", "logits", "perplexity", "greedy", "engine", "power", "math-power",
    "math-mutants",
)  # fmt: skip
"""Kinds of check whose figures are worth a line where all is well."""

OF_PLACES = ("math", "math-free", "isolated", "free")
"""Kinds whose failures the first divergence and the table of failing places have told."""


def show(console: Console, outcome: Outcome, *, table: bool = False, power: bool = False) -> None:
    """Print a run.

    Args:
        console: where to.
        outcome: what was found.
        table: whether to print every row, of places, kinds of check and the pairing.
        power: whether to print every planted fault and every kind of mutant.
    """
    checks = frame_of_outcome(outcome)
    kinds = by_kind(checks)
    show_verdict(console, outcome)
    if said := in_short(checks):
        console.print(Text(said))
    show_map(console, map_of(outcome, checks))
    _show_what_is_wrong(console, outcome, checks, kinds)
    _show_tables(console, outcome, checks, table=table, power=power)
    if not table:
        _show_figures(console, checks, kinds)
    _show_notes(console, outcome)
    if not table:
        console.print("--table shows every place and every kind of check.", highlight=False)


def frame_of_outcome(outcome: Outcome) -> pd.DataFrame:
    """Every check of a run in a frame, as the page has them."""
    return frame_of_checks([check.record() for check in outcome.checks])


def show_verdict(console: Console, outcome: Outcome) -> None:
    """Print the verdict in a line, the only one of these with `--quiet`."""
    verdict = outcome.verdict
    note = "" if outcome.compiled else ", not compiled"
    console.print(Text(f"Verdict: {verdict}{note}", f"bold {of_verdict(verdict)}"))


def in_short(checks: pd.DataFrame) -> str:
    """How many places are right, in how many cases, and how near the nearest comes to wrong."""
    mode = "isolated" if (checks["mode"] == "isolated").any() else "math"
    alone = checks[(checks["mode"] == mode) & (checks["tap"] != "")]
    if not len(alone):
        return ""
    wrong = alone.loc[~alone["verdict"].isin(("PASS", "SKIP")), "tap"].nunique()
    places, cases = alone["tap"].nunique(), alone["case"].nunique()
    if wrong:
        fail = "fails" if wrong == 1 else "fail"
        return f"{wrong} of {counted(places, 'place')} {fail} alone, in {counted(cases, 'case')}."
    nearest = worst(alone)
    return (
        f"{counted(places, 'place')}, each alone, in {counted(cases, 'case')}: at most "
        f"{percent(nearest['used'])} of the allowed error, at {short_name(nearest['tap'])} "
        f"({nearest['case']})."
    )


def map_of(outcome: Outcome, checks: pd.DataFrame) -> Map:
    """The map of a run, as its page has it."""
    divergence = outcome.first_divergence
    layers = layers_frame(checks, outcome.order)
    return place_map(layers, computing_taps(checks), divergence.tap if divergence else None)


def show_map(console: Console, found: Map) -> None:
    """Print a map of the model; nothing where it has no places."""
    lines = map_lines(found, min(console.width, WIDTH))
    for line in ["", *lines, ""] if lines else []:
        console.print(line, highlight=False)


def _show_what_is_wrong(
    console: Console, outcome: Outcome, checks: pd.DataFrame, kinds: list[Kind]
) -> None:
    """What is not PASS: the first divergence with its reasons, then kinds of check."""
    show_sentences(console, outcome, checks)
    show_divergence(console, outcome)
    listed = {MODES[mode] for mode in LISTED}
    for kind in kinds:
        said = kind.name in listed and kind.verdict != "SKIP"
        if kind.verdict != "PASS" and not said:
            console.print(_not_passed(kind))


def _not_passed(kind: Kind) -> Text:
    """A kind of check that is not PASS, in a line."""
    name = kind.name.replace("… ", f"{MODES['math']}, ")
    said = [f"{kind.passed} of {kind.of} pass"] if kind.of > 1 else []
    told = said and kind.verdict == "FAIL" and kind.name in {MODES[mode] for mode in OF_PLACES}
    if kind.seen and not told:
        said.append(kind.seen)
    return Text.assemble((kind.verdict, of_verdict(kind.verdict)), f" {name}: {'; '.join(said)}")


def _show_tables(
    console: Console, outcome: Outcome, checks: pd.DataFrame, *, table: bool, power: bool
) -> None:
    """The rows that were asked for, or those that fail."""
    rows = layer_rows(checks, outcome.order)
    if not table:
        show_failing_rows(console, rows)
    elif rows:
        console.print(layer_table(rows))
        console.print(LEGEND, style="dim")
    if table:
        console.print(summary_table(checks))
        if outcome.pairing and not outcome.pairing.by_path:
            console.print(pairing_table(outcome.pairing))
    for asked in (power_table(outcome), mutants_table(outcome)) if power else ():
        if asked.row_count:
            console.print(asked)


def _show_figures(console: Console, checks: pd.DataFrame, kinds: list[Kind]) -> None:
    """How good it is, in a few lines, and how many checks that was made of."""
    grid = Table.grid(padding=(0, 2))
    for name, kind in _telling(kinds).items():
        grid.add_row(Text(name, "bold"), Text(_with_count(kind)))
    if grid.row_count:
        console.print(grid)
    if len(checks):
        passed = int((checks["verdict"] == "PASS").sum())
        console.print(
            f"{passed:,} of {len(checks):,} checks PASS, of {counted(len(kinds), 'kind')}.",
            highlight=False,
        )


def _telling(kinds: list[Kind]) -> dict[str, Kind]:
    """Kinds of check that pass and have a figure, of the compiled program where it has them too."""
    told = {MODES[mode] for mode in TELLING}
    found = [k for k in kinds if k.name in told and k.verdict == "PASS" and k.seen]
    return {kind.name.removeprefix("… "): kind for kind in found}


def _with_count(kind: Kind) -> str:
    """What was seen of a kind, after how many there were where there are several."""
    caught = kind.seen.startswith("weakest margin")
    return f"{kind.passed} of {kind.of} caught; {kind.seen}" if caught else kind.seen


def _show_notes(console: Console, outcome: Outcome) -> None:
    """What was compared, how a candidate was read, and whose names stand for whose."""
    if outcome.expected:
        console.print(coverage_line(outcome.coverage()))
    if outcome.pairing and not outcome.pairing.by_path:
        console.print(pairing_line(outcome.pairing))
    for note in outcome.notes:
        console.print(Text(f"Note: {note}"))
