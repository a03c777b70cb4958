"""How the figures of comparable runs went: lines, maps of places, and steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from reports.figures import chart
from reports.history.entries import ALIKE, Entry, Point, is_step
from reports.tables.numbers import duration, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_LINES = 24
"""Lines in one figure of a group; of more, those that changed most are drawn."""

MOST_RUNS = 30
"""Runs in one map of places; of more, the newest."""

SPEED_AID = (
    "Median time of each workload with its 95% interval, run by run. A step is marked where two "
    "neighbouring intervals do not overlap."
)


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
        figure: of a benchmark, times of workloads; None with one run.
        places: of a verification, shares of the allowed error; None with one run.
        steps: every step in words, the newest first.
    """

    kind: str
    title: str
    entries: list[Entry]
    figure: chart.Chart | None
    places: PlaceHistory | None
    steps: list[str]


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Runs of alike environments together, the group with the newest run first."""
    by_environment: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        if entry.headline is not None:
            by_environment.setdefault(entry.environment, []).append(entry)
    newest = sorted(by_environment.values(), key=lambda some: some[-1].started, reverse=True)
    return [_group(some, number) for number, some in enumerate(newest)]


def _group(entries: list[Entry], number: int) -> Group:
    kind = entries[0].kind
    environment = dict(zip(ALIKE, entries[0].environment, strict=False))
    what = "Verification" if kind == "verify" else "Benchmark"
    where = f"{environment['cpu']}, {environment['threads']} threads"
    parts = [what, environment["model"], environment["weights_sha256"][:12], where]
    cases = len(entries[0].environment) - len(ALIKE) - 1
    if cases:
        parts.append(f"{cases} cases")
    parts += _other_dtypes(entries[0].environment[len(ALIKE) + 1 :])
    if environment["candidate"] not in ("None", "impl"):
        parts.append(environment["candidate"])
    lines = _lines(entries)
    several = len(entries) > 1
    return Group(
        kind=kind,
        title=" · ".join(parts),
        entries=entries,
        figure=_times(lines, entries, f"history-{number}") if several and kind == "bench" else None,
        places=_place_history(lines, entries) if several and kind == "verify" else None,
        steps=_all_steps(lines, entries),
    )


def _other_dtypes(cases: Sequence[str]) -> list[str]:
    """The precisions of a verification's cases, unless they are the default."""
    return sorted({case.rpartition(" ")[2] for case in cases} - {"float32", "None"})


def _all_steps(lines: dict[str, list[Point]], entries: Sequence[Entry]) -> list[str]:
    found = [step for name, points in lines.items() for step in _steps(name, points, entries)]
    return [words for _, words in sorted(found, key=lambda step: -step[0])]


def _place_history(lines: dict[str, list[Point]], entries: Sequence[Entry]) -> PlaceHistory | None:
    first = max(0, len(entries) - MOST_RUNS)
    shown = entries[first:]
    rows = []
    for name, points in lines.items():
        cells: list[Shade | None] = [None] * len(entries)
        for before, point in zip([None, *points[:-1]], points, strict=True):
            step = before is not None and is_step(before, point)
            cells[point.run] = _shade(name, point, entries[point.run], step)
        rows.append((name, cells[first:]))
    if not rows:
        return None
    return PlaceHistory([e.commit or "?" for e in shown], [e.max_version for e in shown], rows)


def _shade(name: str, point: Point, entry: Entry, step: bool) -> Shade:
    tip = f"{name}: {percent(point.value)} of the allowed error{', a step' if step else ''}\n"
    tip += f"{_label(entry)}, commit {entry.commit}, MAX {entry.max_version}"
    return Shade(round(min(1.0, point.value), 3), tip, point.value > 1, step)


def _lines(entries: Sequence[Entry]) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {}
    for number, entry in enumerate(entries):
        for name, point in entry.lines.items():
            placed = Point(number, point.value, point.low, point.high)
            lines.setdefault(name, []).append(placed)
    return {name: points for name, points in lines.items() if len(points) > 1}


def _steps(name: str, points: Sequence[Point], entries: Sequence[Entry]) -> list[tuple[int, str]]:
    """The number of the run after each step, and the step in words."""
    show = percent if entries[0].kind == "verify" else duration
    found = []
    for before, after in pairwise(points):
        if is_step(before, after):
            change = f"{name}: {show(before.value)} to {show(after.value)}"
            old, new = entries[before.run], entries[after.run]
            found.append((after.run, f"{change} at {_label(new)} ({_changed(old, new)})"))
    return found


def _changed(old: Entry, new: Entry) -> str:
    """What differs between a run and the one of the figure before it."""
    parts = []
    if old.commit != new.commit:
        parts.append(f"commit {old.commit or '?'} to {new.commit or '?'}")
    if old.max_version != new.max_version:
        parts.append(f"MAX {old.max_version} to {new.max_version}")
    return ", ".join(parts) or "same commit, same MAX"


def _label(entry: Entry) -> str:
    return entry.identity.removesuffix("-verify").removesuffix("-bench")


def _times(
    lines: dict[str, list[Point]], entries: Sequence[Entry], name: str
) -> chart.Chart | None:
    if not lines:
        return None
    shown = sorted(lines, key=lambda line: -_spread(lines[line]))[:MOST_LINES]
    x_span, y_span = chart.spans(chart.WIDE, 340)
    x = chart.Scale(-0.5, len(entries) - 0.5, *x_span)
    values = [v for line in shown for p in lines[line] for v in (p.value, p.low, p.high) if v]
    y = chart.logarithmic(values, y_span)
    marks = _version_rules(entries, x, y_span)
    for number, line in enumerate(shown):
        marks += _history_line(line, lines[line], entries, x, y, f"series-{number % 6}")
    left_out = len(lines) - len(shown)
    more = f" The {len(shown)} lines that changed most of {len(lines)}." if left_out else ""
    legend = [(f"series-{number % 6}", line) for number, line in enumerate(shown[:12])]
    return chart.Chart(
        name=name, title="Time of workloads", aid=SPEED_AID + more, width=chart.WIDE, height=340,
        x_title="run, by commit", y_title="seconds", x_ticks=_run_ticks(entries, x),
        y_ticks=y.ticks(), marks=marks,
        legend=[*legend, ("step", "step"), ("rule", "another MAX")],
    )  # fmt: skip


def _spread(points: Sequence[Point]) -> float:
    values = [point.value for point in points if point.value > 0]
    return max(values) / min(values) if values else 0.0


def _history_line(
    name: str,
    points: Sequence[Point],
    entries: Sequence[Entry],
    x: chart.Scale,
    y: chart.Scale,
    css: str,
) -> list[chart.Mark]:
    marks = [chart.line([(x(p.run), y(p.value)) for p in points], f"line thin {css}")]
    for before, after in pairwise(points):
        if is_step(before, after):
            middle = (x(before.run) + x(after.run)) / 2
            marks.append(chart.segment(middle, y(before.value), middle, y(after.value), "step"))
    for point in points:
        tip = f"{name}\n{duration(point.value)}, {_label(entries[point.run])}\n"
        tip += f"commit {entries[point.run].commit}, MAX {entries[point.run].max_version}"
        if point.low and point.high:
            at = x(point.run)
            marks.append(chart.segment(at, y(point.low), at, y(point.high), f"{css} whisker"))
        marks.append(chart.dot(x(point.run), y(point.value), css, tip))
    return marks


def _version_rules(
    entries: Sequence[Entry], x: chart.Scale, span: tuple[float, float]
) -> list[chart.Mark]:
    """A line where another version of MAX begins."""
    marks = []
    for number in range(1, len(entries)):
        if entries[number].max_version != entries[number - 1].max_version:
            at = x(number - 0.5)
            marks.append(chart.segment(at, span[0], at, span[1], "rule"))
            marks.append(chart.label(at + 4, span[1] + 12, f"MAX {entries[number].max_version}"))
    return marks


def _run_ticks(entries: Sequence[Entry], x: chart.Scale) -> list[tuple[float, str]]:
    every = math.ceil(len(entries) / 11)
    return [(x(n), entries[n].commit or "?") for n in range(0, len(entries), every)]
