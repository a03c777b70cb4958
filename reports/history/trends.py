"""How the figures of comparable runs went: lines with their noise, maps of places, and steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from reports.history.entries import SUBJECT, Entry, Point
from reports.history.lines import line_charts
from reports.history.steps import Level, by_neighbours, levels
from reports.tables.numbers import duration, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.figures.chart import Chart
    from reports.history.same_machine import Machine

MOST_RUNS = 30
"""Runs in one map of places; of more, the newest."""

KINDS = {"verify": "Verification", "bench": "Benchmark", "endpoint": "Endpoint parity"}


@dataclass(frozen=True, slots=True)
class Shade:
    """One place in one run: the colour's share, what is shown when it is pointed at, and marks."""

    share: float
    tip: str
    failed: bool
    step: bool


@dataclass(frozen=True, slots=True)
class PlaceHistory:
    """Places down, runs across; None where a run has no such place."""

    runs: list[str]
    versions: list[str]
    rows: list[tuple[str, list[Shade | None]]]


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that can be compared, in the order of time, and how they went.

    Attributes:
        kind, title: of all of them.
        entries: the runs.
        figures: of a benchmark, times of workloads; none with one run.
        places: of a verification, shares of the allowed error; None with one run.
        steps: every step in words, the newest first.
    """

    kind: str
    title: str
    entries: list[Entry]
    figures: list[Chart]
    places: PlaceHistory | None
    steps: list[str]

    @property
    def machine(self) -> Machine:
        """That all of them ran on."""
        return self.entries[-1].machine


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Runs of alike environments together, the group with the newest run first."""
    by_environment: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        if not entry.problem:
            by_environment.setdefault(entry.environment, []).append(entry)
    newest = sorted(by_environment.values(), key=lambda some: some[-1].started, reverse=True)
    return [_group(some, f"history-{number}") for number, some in enumerate(newest)]


def _group(entries: list[Entry], name: str) -> Group:
    kind = entries[0].kind
    of = by_neighbours if kind == "verify" else levels
    lines = {line: of(points) for line, points in _lines(entries).items()}
    return Group(
        kind=kind,
        title=_title(entries[0]),
        entries=entries,
        figures=line_charts(lines, entries, name) if kind == "bench" else [],
        places=_place_history(lines, entries) if kind == "verify" else None,
        steps=_all_steps(lines, entries),
    )


def _title(entry: Entry) -> str:
    subject = dict(zip(SUBJECT, entry.subject, strict=True))
    parts = [KINDS.get(entry.kind, entry.kind), subject["model"], subject["weights_sha256"][:12]]
    if entry.cases:
        parts.append(f"{len(entry.cases)} cases")
    parts += _other_dtypes(entry.cases)
    if subject["candidate"] not in ("None", "impl"):
        parts.append(subject["candidate"])
    return " · ".join(parts)


def _other_dtypes(cases: Sequence[str]) -> list[str]:
    """The precisions of a verification's cases, unless they are the default."""
    return sorted({case.rpartition(" ")[2] for case in cases} - {"float32", "None"})


def _lines(entries: Sequence[Entry]) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {}
    for number, entry in enumerate(entries):
        for name, point in entry.lines.items():
            placed = Point(number, point.value, point.low, point.high, point.chart)
            lines.setdefault(name, []).append(placed)
    return {name: points for name, points in lines.items() if len(points) > 1}


def _all_steps(lines: dict[str, list[Level]], entries: Sequence[Entry]) -> list[str]:
    found = [step for name, parts in lines.items() for step in _steps(name, parts, entries)]
    return [words for _, words in sorted(found, key=lambda step: -step[0])]


def _steps(name: str, parts: Sequence[Level], entries: Sequence[Entry]) -> list[tuple[int, str]]:
    """The number of the run after each step, and the step in words."""
    show = percent if entries[0].kind == "verify" else duration
    found = []
    for before, after in pairwise(parts):
        old, new = entries[before.points[-1].run], entries[after.points[0].run]
        times = f"{show(before.middle)} to {show(after.middle)}"
        change = f"{name}: {times} ({after.middle / before.middle - 1:+.0%})"
        alone = ", one run so far" if len(after.points) == 1 and after.low else ""
        words = f"{change} at {label(new)}{alone} ({_changed(old, new)})"
        found.append((after.points[0].run, words))
    return found


def _changed(old: Entry, new: Entry) -> str:
    """What differs between a run and the one of the figure before it."""
    named = (
        ("commit", old.commit, new.commit),
        ("MAX", old.max_version, new.max_version),
        ("system", old.system, new.system),
    )
    parts = [f"{what} {a or '?'} to {b or '?'}" for what, a, b in named if a != b]
    return ", ".join(parts) or "same commit, same MAX"


def _place_history(lines: dict[str, list[Level]], entries: Sequence[Entry]) -> PlaceHistory | None:
    first = max(0, len(entries) - MOST_RUNS)
    shown = entries[first:]
    rows = []
    for name, parts in lines.items():
        cells: list[Shade | None] = [None] * len(entries)
        for number, part in enumerate(parts):
            for at, point in enumerate(part.points):
                if point.run >= first:
                    step = number > 0 and at == 0
                    cells[point.run] = _shade(name, point, entries[point.run], step)
        rows.append((name, cells[first:]))
    if not rows:
        return None
    return PlaceHistory([e.commit or "?" for e in shown], [e.max_version for e in shown], rows)


def _shade(name: str, point: Point, entry: Entry, step: bool) -> Shade:
    tip = f"{name}: {percent(point.value)} of the allowed error{', a step' if step else ''}\n"
    tip += f"{label(entry)}, commit {entry.commit}, MAX {entry.max_version}"
    return Shade(round(min(1.0, point.value), 3), tip, point.value > 1, step)


def label(entry: Entry) -> str:
    """A run as pages call it."""
    return entry.identity.removesuffix("-verify").removesuffix("-bench")
