"""What the history keeps of a run, and which of its figures can be compared with others'.

Runs are drawn on one line only if what they were measured with is alike: machine, threads, device,
weights, and for a verification the candidate and the cases. The code's commit and the versions of
packages are what changes along the line.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from reference.taps import short_name
from reports.history.same_machine import Machine, machine_of
from reports.pages.bench_page import bench_headline
from reports.pages.endpoint_page import endpoint_headline
from reports.pages.headline import Headline, moment_of, verify_headline
from reports.pages.machines_page import machines_headline
from reports.pages.rendering import MISFITS
from reports.pages.spread_page import spread_headline
from reports.pages.sweep_page import sweep_headline
from reports.pages.training_page import training_headline
from reports.saved.records import RecordsError, read_run
from reports.tables.frames import checks_frame, layers_frame
from reports.tables.load_markdown import load_name
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
"""Entries of the environment that must be equal for a difference of two runs to be the code's."""

SUBJECT = ("model", "weights_sha256", "candidate")
"""Entries of the environment, beside the machine, that must be equal on one line."""

STEP_RATIO = 1.25
"""A worst share of the allowed error that changes by more, either way, is marked as a step."""

LATENCIES = {"ttft_ms_p50": "time to first token", "tpot_ms_p50": "time a further token"}
"""Of a server under load, what has a line."""


class Point(Struct, frozen=True, array_like=True):
    """One figure of one run.

    Attributes:
        run: its number in the group.
        value: seconds, or a share of the allowed error.
        low, high: its 95% interval, if it has one.
        chart: what it is drawn together with: the workload; empty for a place.
    """

    run: int
    value: float
    low: float | None = None
    high: float | None = None
    chart: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """What the history keeps of one run.

    Attributes:
        folder: its name.
        identity: the run's name.
        kind: `verify`, `bench` or `endpoint`.
        verdict, title, lead: its headline; empty where it cannot be read.
        problem: why it cannot be read, else empty.
        machine: that it ran on.
        subject: `SUBJECT`'s values.
        cases: of a verification.
        commit, max_version, system: what may change along a line.
        lines: figures by name.
        started: the recorded moment.
    """

    folder: str
    identity: str
    kind: str = ""
    verdict: str = ""
    title: str = ""
    lead: str = ""
    problem: str = ""
    machine: Machine = Machine("", ())
    subject: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    commit: str = ""
    max_version: str = ""
    system: str = ""
    lines: dict[str, Point] = field(default_factory=dict)
    started: str = ""

    @property
    def environment(self) -> tuple[Any, ...]:
        """What must be equal for a common line."""
        return self.machine.key, self.subject, self.kind, self.cases


def read_entry(folder: Path) -> Entry:
    """One run; where it cannot be read, why."""
    try:
        return _readable(read_run(folder))
    except RecordsError as error:
        problem = str(error)
    except MISFITS as error:
        problem = f"its records do not fit their format: {type(error).__name__}: {error}"
    return Entry(folder=folder.name, identity=folder.name, problem=problem)


def _readable(run: Run) -> Entry:
    environment = run.environment
    moment = moment_of(run.header.get("started_utc"))
    lines, headline = _lines(run)
    versions = environment.get("versions") or {}
    return Entry(
        folder=run.folder.name,
        identity=str(run.header.get("run_id") or run.folder.name),
        kind=run.kind,
        verdict=headline.verdict,
        title=headline.title,
        lead=headline.diagnosis or headline.lead,
        machine=machine_of(environment),
        subject=tuple(str(environment.get(name)) for name in SUBJECT),
        cases=tuple(_cases(run)),
        commit=str(environment.get("commit") or "")[:10],
        max_version=str(versions.get("max") or ""),
        system=str(environment.get("system") or ""),
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
    if run.kind in ("campaign", "rules"):
        return {}, spread_headline(run)
    if run.kind == "training":
        return {}, training_headline(run)
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
    rows = [*run.of("row"), *run.of("load")]
    several = len({row.get("model") for row in rows if row.get("model")}) > 1
    many = len({row.get("threads") for row in rows if row.get("threads")}) > 1
    keys = ("model",) * several + ("workload",)
    for row in rows:
        if row.get("status") != "VALID" or "#" in str(row.get("arm")):
            continue
        chart = " ".join(str(row[key]) for key in keys if row.get(key))
        who = [str(row[key]) for key in ("arm", "device", "dtype") if row.get(key)]
        who += [f"t{row['threads']}"] if many and row.get("threads") else []
        if median := figure(row.get("median_s")):
            interval = (figure(row.get("ci_lo_s")), figure(row.get("ci_hi_s")))
            lines[" ".join([chart, *who])] = Point(0, median, *interval, chart)
        for key, what in LATENCIES.items():
            if milliseconds := figure(row.get(key)):
                server = f"{load_name(row)} {' '.join(who)}"
                name = f"{chart}, {what}"
                lines[f"{name}: {server}"] = Point(0, milliseconds / 1e3, chart=name)
    return lines, bench_headline(run)


def is_step(before: Point, after: Point) -> bool:
    """Whether two neighbouring figures differ: intervals apart, or without them by the ratio."""
    if None not in (before.low, before.high, after.low, after.high):
        return bool(before.high < after.low or after.high < before.low)  # type: ignore[operator]
    if not before.value or not after.value:
        return before.value != after.value
    ratio = after.value / before.value
    return ratio > STEP_RATIO or ratio < 1 / STEP_RATIO
