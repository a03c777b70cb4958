"""Scores of the rules, as tables for the terminal and for verify/README.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from reports.commands import WIDTH
from verify.faults.catalogue import catalogue
from verify.rules.contest import DTYPE, OURS, TRACED, Alarm, Catch
from verify.rules.published import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NAMES = (*(rule.name for rule in PUBLISHED), OURS, TRACED)

README = Path(__file__).parents[1] / "README.md"

BEGIN, END = "<!-- rules: begin -->", "<!-- rules: end -->"


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the matrix.

    Attributes:
        rule: its name.
        caught: faults that it catches in any case, by id.
        right: faults that it blames on the right place in any case; None if it cannot blame.
        false: correct runs that it rejects.
        runs: correct runs that it saw.
    """

    rule: str
    caught: frozenset[str]
    right: frozenset[str] | None
    false: int
    runs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found.

    Attributes:
        scores: one for each rule.
        applicable: faults that change something in any case, in the catalogue's order.
        probe_only: those of them that change something in the probe's stages alone.
        alarms: what this project's rule rejected among correct runs.
    """

    scores: tuple[Score, ...]
    applicable: tuple[str, ...]
    probe_only: tuple[str, ...]
    alarms: tuple[Alarm, ...]

    @property
    def holds(self) -> bool:
        """Whether this project's rule catches most, and rejects no correct run, traced too."""
        *others, ours, traced = self.scores
        most = max(len(score.caught) for score in others)
        held = len(ours.caught) > most and ours.false == 0
        return held and traced.caught >= ours.caught and traced.false == 0


def compare(found: Sequence[Catch], judged: Sequence[Alarm]) -> Comparison:
    """Count what the rules made of faults and of correct runs."""
    seen = {catch.fault for catch in found if catch.applicable}
    free = {catch.fault for catch in found if catch.applicable and catch.rule not in (OURS, TRACED)}
    order = [fault.id for fault in catalogue(DTYPE)]
    return Comparison(
        scores=tuple(_score(name, found, judged) for name in NAMES),
        applicable=tuple(name for name in order if name in seen),
        probe_only=tuple(name for name in order if name in seen - free),
        alarms=tuple(alarm for alarm in judged if alarm.rule in (OURS, TRACED) and alarm.rejected),
    )


def _score(name: str, found: Iterable[Catch], judged: Iterable[Alarm]) -> Score:
    caught = [c for c in found if c.rule == name and c.applicable and c.caught]
    blames = any(catch.right is not None for catch in caught)
    rejected = {alarm.run for alarm in judged if alarm.rule == name and alarm.rejected}
    return Score(
        rule=name,
        caught=frozenset(catch.fault for catch in caught),
        right=frozenset(catch.fault for catch in caught if catch.right) if blames else None,
        false=len(rejected),
        runs=len({alarm.run for alarm in judged if alarm.rule == name}),
    )


def rows(comparison: Comparison) -> Iterator[tuple[str, str, str, str, str]]:
    """The matrix, number and name of the rule first."""
    total = len(comparison.applicable)
    for number, score in enumerate(comparison.scores, 1):
        right = "-" if score.right is None else str(len(score.right))
        caught, false = f"{len(score.caught)} of {total}", f"{score.false} of {score.runs}"
        yield str(number), score.rule, caught, right, false


HEADER = ("", "rule", "faults caught", "right place", "false alarms")


def rules_table(comparison: Comparison) -> Table:
    """The matrix for a terminal."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in HEADER:
        table.add_column(name, justify="left" if name == "rule" else "right", no_wrap=True)
    for row in rows(comparison):
        table.add_row(*row)
    return table


def markdown(comparison: Comparison, command: str) -> str:
    """Both tables as Markdown: the matrix, and which rule catches which fault."""
    own = ["`verify/judge/acceptance.py`, stage by stage", "the same, `verify/truth/float64.py`"]
    sources = [rule.source for rule in PUBLISHED] + own
    lines = [f"`{command}` wrote this section.", "", *_table_head([*HEADER, "source"])]
    lines += [
        f"| {' | '.join(row)} | {source} |"
        for row, source in zip(rows(comparison), sources, strict=True)
    ]
    lines += ["", *notes(comparison), "", *_kill_matrix(comparison)]
    return "\n".join(lines)


def notes(comparison: Comparison) -> list[str]:
    """What has to be known to read the table, a paragraph each."""
    probe_only = ", ".join(f"`{name}`" for name in comparison.probe_only) or "none"
    return [
        (
            "Right place: what the rule rejects first is where the fault is. A dash: it sees "
            "logits alone. False alarms: correct float32 runs in another order of evaluation, "
            "rejected anywhere; this project's rule has not seen that order. Traced: the model's "
            "graph evaluated in float64, before anything is compiled; its correct runs are float64 "
            "runs in another order. "
            f"Faults that only the probe's stages show: {probe_only}."
        )
    ]


def _kill_matrix(comparison: Comparison) -> list[str]:
    numbers = [str(number) for number in range(1, len(comparison.scores) + 1)]
    lines = _table_head(["fault", *numbers])
    for fault in comparison.applicable:
        marks = ["x" if fault in score.caught else "." for score in comparison.scores]
        lines.append(f"| {fault} | {' | '.join(marks)} |")
    return lines


def _table_head(names: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]


def updated(text: str, section: str) -> str:
    """`text` with what is between the markers replaced.

    Raises:
        ValueError: where a marker is missing, or they are in the wrong order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"
