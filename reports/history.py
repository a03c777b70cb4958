"""All runs together: which of them can be compared, and how their figures went.

Runs are drawn on one line only if what they were measured with is alike: machine, threads, device,
weights, and for a verification the candidate and the cases. The code's commit and the versions of
packages are what changes along the line.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports import chart
from reports.bench_page import bench_headline
from reports.headline import Headline, moment_of, verify_headline
from reports.numbers import figure, percent, seconds, short_tap
from reports.page import MISFITS
from reports.records import RecordsError, read_run
from reports.tables import checks_frame, layers_frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reports.records import Run

ALIKE = (
    "model", "weights_sha256", "candidate", "cpu", "logical_cpus", "usable_cpus", "cgroup_cpus",
    "threads", "memory_bytes", "system", "accelerator",
)  # fmt: skip
"""Entries of the environment that must be equal for two runs to share a line."""

STEP_RATIO = 1.25
"""A worst share of the allowed error that changes by more, either way, is marked as a step."""

MOST_LINES = 24
"""Lines in one figure of a group; of more, those that changed most are drawn."""

MOST_RUNS = 30
"""Runs in one map of places; of more, the newest."""

SPEED_AID = (
    "Median time of each workload with its 95% interval, run by run. A step is marked where two "
    "neighbouring intervals do not overlap."
)


@dataclass(frozen=True, slots=True)
class Point:
    """One figure of one run: the value, its interval if it has one."""

    run: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run in the index.

    Attributes:
        folder: of the run.
        identity: the run's name.
        kind: `verify` or `bench`.
        headline: its verdict and title; None where it cannot be read.
        problem: why it cannot be read, else empty.
        environment: what must be equal for a common line.
        commit, max_version: what may change.
        lines: figures by name.
        started: the recorded moment.
    """

    folder: Path
    identity: str
    kind: str = ""
    headline: Headline | None = None
    problem: str = ""
    environment: tuple[str, ...] = ()
    commit: str = ""
    max_version: str = ""
    lines: dict[str, Point] = field(default_factory=dict)
    started: str = ""


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


def read_entries(runs: Path) -> list[Entry]:
    """Every run below a folder, oldest first; one that cannot be read says why."""
    folders = sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    entries = [_entry(folder) for folder in folders]
    return sorted(entries, key=lambda entry: (entry.started, entry.identity))


def _entry(folder: Path) -> Entry:
    try:
        return _readable(read_run(folder))
    except RecordsError as error:
        return Entry(folder=folder, identity=folder.name, problem=str(error))
    except MISFITS as error:
        problem = f"its records do not fit: {type(error).__name__}: {error}"
        return Entry(folder=folder, identity=folder.name, problem=problem)


def _readable(run: Run) -> Entry:
    environment = run.environment
    moment = moment_of(run.header.get("started_utc"))
    lines, headline = _verify_lines(run) if run.kind == "verify" else _bench_lines(run)
    versions = environment.get("versions") or {}
    return Entry(
        folder=run.folder,
        identity=str(run.header.get("run_id") or run.folder.name),
        kind=run.kind,
        headline=headline,
        environment=(*(str(environment.get(n)) for n in ALIKE), run.kind, *_cases(run)),
        commit=str(environment.get("commit") or "")[:10],
        max_version=str(versions.get("max") or ""),
        lines=lines,
        started=moment.isoformat() if moment else "",
    )


def _cases(run: Run) -> list[str]:
    """The cases of a verification: the worst of other cases is another figure."""
    return sorted({str(r.get("case")) for r in run.of("check") if r.get("mode") == "isolated"})


def run_lines(run: Run) -> dict[str, Point]:
    """The figures of one run by name: shares of the allowed error, or times of workloads."""
    return (_verify_lines(run) if run.kind == "verify" else _bench_lines(run))[0]


def _verify_lines(run: Run) -> tuple[dict[str, Point], Headline]:
    checks = checks_frame(run)
    layers = layers_frame(checks, (run.end or {}).get("order") or ())
    lines = {}
    for row in layers.to_dict("records"):
        used = figure(row["used"])
        if used and math.isfinite(used):
            device = "" if row["device"] in ("cpu", None) else f" ({row['device']})"
            lines[short_tap(row["tap"]) + device] = Point(0, used)
    return lines, verify_headline(run, checks)


def _bench_lines(run: Run) -> tuple[dict[str, Point], Headline]:
    lines = {}
    for row in run.of("row"):
        median = figure(row.get("median_s"))
        if row.get("status") == "VALID" and median:
            name = " ".join(
                str(row[key]) for key in ("workload", "arm", "device", "dtype") if row.get(key)
            )
            interval = (figure(row.get("ci_lo_s")), figure(row.get("ci_hi_s")))
            lines[name] = Point(0, median, *interval)
    return lines, bench_headline(run)


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


def is_step(before: Point, after: Point) -> bool:
    """Whether two neighbouring figures differ: intervals apart, or without them by the ratio."""
    if None not in (before.low, before.high, after.low, after.high):
        return bool(before.high < after.low or after.high < before.low)  # type: ignore[operator]
    if not before.value or not after.value:
        return before.value != after.value
    ratio = after.value / before.value
    return ratio > STEP_RATIO or ratio < 1 / STEP_RATIO


def _steps(name: str, points: Sequence[Point], entries: Sequence[Entry]) -> list[tuple[int, str]]:
    """The number of the run after each step, and the step in words."""
    show = percent if entries[0].kind == "verify" else seconds
    found = []
    for before, after in itertools.pairwise(points):
        if is_step(before, after):
            change = f"{name}: {show(before.value)} to {show(after.value)}"
            where = f"{_label(entries[after.run])} ({_changed(entries, after)})"
            found.append((after.run, f"{change} at {where}"))
    return found


def _changed(entries: Sequence[Entry], after: Point) -> str:
    """What differs between a run and the one before it."""
    old, new = entries[after.run - 1], entries[after.run]
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
    for before, after in itertools.pairwise(points):
        if is_step(before, after):
            middle = (x(before.run) + x(after.run)) / 2
            marks.append(chart.segment(middle, y(before.value), middle, y(after.value), "step"))
    for point in points:
        tip = f"{name}\n{seconds(point.value)}, {_label(entries[point.run])}\n"
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
