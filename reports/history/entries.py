"""All runs of a folder, and what of each can be compared with the others.

Runs are drawn on one line only if what they were measured with is alike: machine, threads, device,
weights, and for a verification the candidate and the cases. The code's commit and the versions of
packages are what changes along the line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.pages.bench_page import bench_headline
from reports.pages.endpoint_page import endpoint_headline
from reports.pages.headline import Headline, moment_of, verify_headline
from reports.pages.machines_page import machines_headline
from reports.pages.rendering import MISFITS
from reports.pages.sweep_page import sweep_headline
from reports.saved.records import RecordsError, read_run
from reports.tables.frames import checks_frame, layers_frame
from reports.tables.numbers import figure
from reports.tables.units import opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reports.saved.records import Run

ALIKE = (
    "model", "weights_sha256", "candidate", "cpu", "logical_cpus", "usable_cpus", "cgroup_cpus",
    "threads", "memory_bytes", "system", "accelerator",
)  # fmt: skip
"""Entries of the environment that must be equal for two runs to share a line."""

STEP_RATIO = 1.25
"""A worst share of the allowed error that changes by more, either way, is marked as a step."""


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
        kind: `verify`, `bench` or `endpoint`.
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
    lines, headline = _lines(run)
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
    """Cases and precisions of a verification: the worst of other ones is another figure."""
    alone = [r for r in run.of("check") if r.get("mode") == "isolated"]
    return sorted({f"{r.get('case')} {r.get('dtype')}" for r in alone if _is_float(r)})


def _is_float(check: Mapping[str, Any]) -> bool:
    """Whether a check is in the run's precision: token ids are integers in every run."""
    return not str(check.get("dtype")).startswith(("int", "uint"))


def run_lines(run: Run) -> dict[str, Point]:
    """The figures of one run by name: shares of the allowed error, or times of workloads."""
    return _lines(run)[0]


def _lines(run: Run) -> tuple[dict[str, Point], Headline]:
    if run.kind == "endpoint":
        return {}, endpoint_headline(run)
    if run.kind == "sweep":
        return {}, sweep_headline(opened(run))
    if run.kind == "machines":
        return {}, machines_headline(opened(run))
    return _verify_lines(run) if run.kind == "verify" else _bench_lines(run)


def _verify_lines(run: Run) -> tuple[dict[str, Point], Headline]:
    checks = checks_frame(run)
    layers = layers_frame(checks, (run.end or {}).get("order") or ())
    lines = {}
    for row in layers.to_dict("records"):
        used = figure(row["used"])
        if used and math.isfinite(used):
            device = "" if row["device"] in ("cpu", None) else f" ({row['device']})"
            lines[short_name(row["tap"]) + device] = Point(0, used)
    return lines, verify_headline(run, checks)


def _bench_lines(run: Run) -> tuple[dict[str, Point], Headline]:
    lines = {}
    rows = run.of("row")
    several = len({row.get("model") for row in rows if row.get("model")}) > 1
    keys = ("model",) * several + ("workload", "arm", "device", "dtype")
    for row in rows:
        median = figure(row.get("median_s"))
        if row.get("status") == "VALID" and median:
            name = " ".join(str(row[key]) for key in keys if row.get(key))
            interval = (figure(row.get("ci_lo_s")), figure(row.get("ci_hi_s")))
            lines[name] = Point(0, median, *interval)
    return lines, bench_headline(run)


def is_step(before: Point, after: Point) -> bool:
    """Whether two neighbouring figures differ: intervals apart, or without them by the ratio."""
    if None not in (before.low, before.high, after.low, after.high):
        return bool(before.high < after.low or after.high < before.low)  # type: ignore[operator]
    if not before.value or not after.value:
        return before.value != after.value
    ratio = after.value / before.value
    return ratio > STEP_RATIO or ratio < 1 / STEP_RATIO
