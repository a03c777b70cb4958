"""Times of workloads, run by run, as charts: one a workload, a line with its noise for each arm.

Of many runs a first chart shows all, in bins, and a second the newest.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from reports.figures import chart
from reports.tables.numbers import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.history.entries import Entry, Point
    from reports.history.steps import Level

    Lines = Mapping[str, Sequence[Level]]

NEWEST = 120
"""Runs in the chart of the newest ones: as many as can be pointed at."""

BINS = 240
"""Bins of the chart of all runs."""

MOST_LINES = 12
"""Lines in one chart; of more, those that changed most are drawn."""

MOST_TICKS = 11
HEIGHT = 300
MS = 1e3

LABEL_PX = 90
"""Room that the name of a version takes."""

AID = (
    "Median time of each run with its 95% interval. The band is the noise: three standard "
    "deviations of what runs of this machine differ by. A step is marked where runs leave it and "
    "stay out."
)
AID_FEW = (
    "Median time of each run with its 95% interval. With fewer than eight runs, a step is marked "
    "where two neighbouring intervals do not overlap."
)
AID_ALL = "The median of each bin of {size} runs in a row. Steps are marked where they are."


def line_charts(lines: Lines, entries: Sequence[Entry], name: str) -> list[chart.Chart]:
    """The charts of a group of benchmarks.

    Args:
        lines: levels by the line's name.
        entries: the runs, oldest first.
        name: what their names on the page begin with.
    """
    by_workload: dict[str, dict[str, Sequence[Level]]] = {}
    for line, parts in lines.items():
        by_workload.setdefault(parts[0].points[0].chart, {})[line] = parts
    charts = []
    for number, (workload, own) in enumerate(by_workload.items()):
        chosen = dict(sorted(own.items(), key=lambda line: -_spread(line[1]))[:MOST_LINES])
        chosen = {line: own[line] for line in own if line in chosen}
        more = len(own) > len(chosen)
        less = f" Of {len(own)} lines, the {MOST_LINES} that changed most." if more else ""
        if len(entries) > NEWEST:
            charts.append(_all_runs(workload, chosen, entries, f"{name}-{number}-all", less))
        charts.append(_newest(workload, chosen, entries, f"{name}-{number}", less))
    return charts


def _newest(
    workload: str, lines: Lines, entries: Sequence[Entry], name: str, less: str
) -> chart.Chart:
    first = max(0, len(entries) - NEWEST)
    x, y_span = _x(first, len(entries))
    every = [level for parts in lines.values() for level in parts]
    shown = [point for level in every for point in level.points if point.run >= first]
    y = chart.linear([v * MS for p in shown for v in _extent(p)], y_span, zero=False)
    marks = _version_rules(entries, x, y_span, first)
    for number, parts in enumerate(lines.values()):
        css = f"series-{number % 6}"
        marks += [band for level in parts for band in _band(level, x, y, first, css)]
    for number, (line, parts) in enumerate(lines.items()):
        marks += _line(line, parts, entries, x, y, first, f"series-{number % 6}")
    few = all(level.low is None for level in every)
    which = f", the newest {NEWEST} of {len(entries):,} runs" if first else ""
    return _chart(name, f"{workload}{which}", (AID_FEW if few else AID) + less, lines, marks,
                  _run_ticks(entries, x, first), y)  # fmt: skip


def _all_runs(
    workload: str, lines: Lines, entries: Sequence[Entry], name: str, less: str
) -> chart.Chart:
    x, y_span = _x(0, len(entries))
    size = math.ceil(len(entries) / BINS)
    drawn = {line: _binned(parts, size) for line, parts in lines.items()}
    y = chart.linear([v * MS for points in drawn.values() for _, v in points], y_span, zero=False)
    marks = _version_rules(entries, x, y_span, 0)
    for number, (line, parts) in enumerate(lines.items()):
        css = f"series-{number % 6}"
        marks.append(chart.line([(x(at), y(v * MS)) for at, v in drawn[line]], f"line thin {css}"))
        for before, after in pairwise(parts):
            at = x(after.points[0].run - 0.5)
            marks.append(chart.segment(at, y(before.middle * MS), at, y(after.middle * MS), "step"))
    return _chart(name, f"{workload}, all {len(entries):,} runs", AID_ALL.format(size=size) + less,
                  lines, marks, _run_ticks(entries, x, 0), y)  # fmt: skip


def _chart(
    name: str, title: str, aid: str, lines: Lines, marks: Sequence[chart.Mark],
    ticks: Sequence[tuple[float, str]], y: chart.Scale,
) -> chart.Chart:  # fmt: skip
    legend = [(f"series-{number % 6}", _short(*line)) for number, line in enumerate(lines.items())]
    return chart.Chart(
        name=name, title=title, aid=aid, width=chart.WIDE, height=HEIGHT, marks=marks,
        x_title="run, by commit", y_title="milliseconds", x_ticks=ticks, y_ticks=y.ticks(),
        legend=[*legend, ("step", "step"), ("rule", "another MAX")],
    )  # fmt: skip


def _short(line: str, parts: Sequence[Level]) -> str:
    """A line's name without the workload, which the chart's title has."""
    return line.removeprefix(parts[0].points[0].chart).lstrip(" :")


def _x(first: int, end: int) -> tuple[chart.Scale, tuple[float, float]]:
    x_span, y_span = chart.spans(chart.WIDE, HEIGHT)
    return chart.Scale(first - 0.5, end - 0.5, *x_span), (y_span[0], y_span[1])


def _extent(point: Point) -> tuple[float, ...]:
    return tuple(v for v in (point.value, point.low, point.high) if v)


def _spread(parts: Sequence[Level]) -> float:
    """The slowest level over the fastest; with one level, how far its runs are apart."""
    alone = [point.value for point in parts[0].points] if len(parts) == 1 else []
    values = [value for value in (*alone, *(level.middle for level in parts)) if value > 0]
    return max(values) / min(values) if values else 0.0


def _binned(parts: Sequence[Level], size: int) -> list[tuple[float, float]]:
    """Middle and median of each bin of `size` runs."""
    bins: dict[int, list[float]] = {}
    for level in parts:
        for point in level.points:
            bins.setdefault(point.run // size, []).append(point.value)
    return [((number + 0.5) * size - 0.5, median(values)) for number, values in bins.items()]


def _band(level: Level, x: chart.Scale, y: chart.Scale, first: int, css: str) -> list[chart.Mark]:
    """The noise of a level, over the runs that are shown."""
    runs = [point.run for point in level.points if point.run >= first]
    if level.low is None or level.high is None or not runs:
        return []
    ends = x(runs[0] - 0.4), x(runs[-1] + 0.4)
    upper, lower = ([(end, y(v * MS)) for end in ends] for v in (level.high, level.low))
    return [chart.area(upper, lower, f"noise {css}")]


def _line(
    name: str, parts: Sequence[Level], entries: Sequence[Entry], x: chart.Scale, y: chart.Scale,
    first: int, css: str,
) -> list[chart.Mark]:  # fmt: skip
    points = [p for level in parts for p in level.points if p.run >= first]
    marks = [chart.line([(x(p.run), y(p.value * MS)) for p in points], f"line thin {css}")]
    for before, after in pairwise(parts):
        if before.points[-1].run >= first:
            middle = (x(before.points[-1].run) + x(after.points[0].run)) / 2
            ends = y(before.middle * MS), y(after.middle * MS)
            marks.append(chart.segment(middle, ends[0], middle, ends[1], "step"))
    for point in points:
        marks += _dot(name, point, entries[point.run], x, y, css)
    return marks


def _dot(
    name: str, point: Point, entry: Entry, x: chart.Scale, y: chart.Scale, css: str
) -> list[chart.Mark]:
    at = x(point.run)
    tip = f"{name}\n{duration(point.value)}, {entry.identity}\n"
    tip += f"commit {entry.commit}, MAX {entry.max_version}"
    dot = chart.dot(at, y(point.value * MS), css, tip)
    if not (point.low and point.high):
        return [dot]
    return [
        chart.segment(at, y(point.low * MS), at, y(point.high * MS), f"{css} whisker faint"),
        dot,
    ]


def _version_rules(
    entries: Sequence[Entry], x: chart.Scale, span: tuple[float, float], first: int
) -> list[chart.Mark]:
    """A line where a version of MAX is used for the first time, named where there is room."""
    marks: list[chart.Mark] = []
    seen, free = {entries[0].max_version}, -math.inf
    for number, entry in enumerate(entries):
        if entry.max_version in seen:
            continue
        seen.add(entry.max_version)
        if number > first:
            at = x(number - 0.5)
            marks.append(chart.segment(at, span[0], at, span[1], "rule"))
            if at > free:
                marks.append(chart.label(at + 4, span[1] + 12, f"MAX {entry.max_version}"))
                free = at + LABEL_PX
    return marks


def _run_ticks(entries: Sequence[Entry], x: chart.Scale, first: int) -> list[tuple[float, str]]:
    every = math.ceil((len(entries) - first) / MOST_TICKS)
    return [(x(n), entries[n].commit or "?") for n in range(first, len(entries), every)]
