"""Figures as bars: memory, phases, starts and copies by arm, and each place's time and error."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.figures import chart
from reports.figures.speed import Record, arms_of, not_cpu, positive, series
from reports.tables.numbers import duration, figure, percent, scientific

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

LAYERS_AID = (
    "Bars are the median time of each place alone; next to them its error to float64 and the "
    "largest error that passes. What is fast because it computes less shows here."
)

STARTS_AID = (
    "From the start of an arm's process to its first result: import, loading, compiling, the first "
    "call. Where compilers' caches were empty, the files themselves were in memory all the same."
)
COPIES_AID = (
    "Copying one result into memory of the caller's own, which no other time on this page holds: "
    "the median of all processes, and its share of a call."
)

STARTING = ("import", "load", "compile", "first_call")
"""What happens once before a result, in order; also its colours."""

MEMORY_AID = "The most memory that the process held in each phase (resident, with its libraries)."


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a table: its length from 0 to 1, its words, its colour."""

    share: float
    text: str
    css: str
    name: str


@dataclass(frozen=True, slots=True)
class BarRow:
    """A row of bars, and further cells."""

    name: str
    bars: list[Bar]
    cells: list[str]


def memory(run: Run) -> list[BarRow]:
    """Peak resident memory of each phase and workload, a bar for each arm."""
    arms = arms_of(run)
    records = [r for r in run.of("memory") if positive(r.get("peak_rss_mib"))]
    return _bar_rows(
        records,
        arms,
        lambda r: str(r.get("workload") or r.get("phase") or ""),
        lambda r: figure(r.get("peak_rss_mib")),
        lambda value: f"{value:,.0f} MiB",
    )


def phases(run: Run) -> list[BarRow]:
    """How long what happens once takes, a bar for each arm: the median of its processes."""
    arms = arms_of(run)
    seconds: dict[tuple[str, Any, Any], list[float]] = {}
    for record in run.of("phase"):
        if positive(took := record.get("seconds")) and record.get("phase") != "host_copy":
            apart = "(empty caches)" if record.get("generation", 0) is None else ""
            parts = (record.get("phase"), record.get("workload"), record.get("cache"), apart)
            name = " ".join(str(part) for part in parts if part)
            key = name, record.get("arm"), record.get("device")
            seconds.setdefault(key, []).append(figure(took) or 0.0)
    records = [
        {"name": name, "arm": arm, "device": device, "seconds": median(took)}
        for (name, arm, device), took in seconds.items()
    ]
    return _bar_rows(
        records, arms, lambda r: str(r["name"]), lambda r: figure(r["seconds"]), duration
    )


@dataclass(frozen=True, slots=True)
class Start:
    """One way in which an arm starts.

    Attributes:
        cold: whether what compiles found no program; None where nothing is compiled.
        seconds: of each of `STARTING` that was recorded.
        missing: those that were not.
    """

    arm: str
    cold: bool | None
    seconds: dict[str, float]
    missing: list[str]


def starts(run: Run) -> list[Start]:
    """How each arm starts, with programs compiled before and without; medians of its processes."""
    phases = [p for p in run.of("phase") if "#" not in str(p.get("arm"))]
    found = []
    for arm, device in dict.fromkeys((p.get("arm"), p.get("device")) for p in phases):
        own = [p for p in phases if p.get("arm") == arm and p.get("device") == device]
        name = " ".join(filter(None, (str(arm), not_cpu(own[0]))))
        found += _starts_of(name, own)
    return found


def _starts_of(name: str, phases: Sequence[Record]) -> list[Start]:
    compiled = any(p.get("phase") == "compile" and positive(p.get("seconds")) for p in phases)
    cold = {p.get("generation", 0) for p in phases if p.get("cache") == "cold"}
    usual = [p for p in phases if p.get("generation", 0) not in (None, *cold)]
    first = min(cold, key=lambda generation: generation is not None, default=0)
    empty = [p for p in phases if cold and p.get("generation", 0) == first]
    if not compiled:
        return [_start(name, None, usual)] if usual else []
    return [_start(name, True, empty), _start(name, False, usual)]


def _start(name: str, cold: bool | None, phases: Sequence[Record]) -> Start:
    """Medians; a process's first call is that of its first workload."""
    first = next((p.get("workload") for p in phases if p.get("phase") == "first_call"), None)
    seconds: dict[str, list[float]] = {}
    for phase in phases:
        took = figure(phase.get("seconds"))
        if took is not None and phase.get("workload") in (None, first):
            seconds.setdefault(str(phase.get("phase")), []).append(took)
    known = {key: median(seconds[key]) for key in STARTING if seconds.get(key)}
    needed = [key for key in STARTING if key != "compile" or cold is not None]
    return Start(name, cold, known, [key for key in needed if key not in known])


def start_chart(run: Run) -> chart.Chart | None:
    """The starts as stacked bars, with their sums; what was not measured is said."""
    every = starts(run)
    found = [start for start in every if start.seconds]
    if not found:
        return None
    absent = ", ".join(start.arm for start in every if start.cold and not start.seconds)
    said = f" Not measured with empty caches (--cold does it): {absent}." if absent else ""
    left, row = 210, 26
    height = chart.TOP + chart.BOTTOM + row * len(found)
    longest = max(sum(start.seconds.values()) for start in found)
    x = chart.Scale(0.0, longest * 1.02, left, chart.WIDE - 330)
    marks = [
        m for i, one in enumerate(found) for m in _stacked(one, x, chart.TOP + row * (i + 0.5))
    ]
    return chart.Chart(
        name="starts", title="Cold start", aid=STARTS_AID + said, width=chart.WIDE,
        height=height, x_title="seconds", y_title="", x_ticks=x.ticks(8), y_ticks=[],
        marks=marks, left=left,
        legend=[(f"series-{n} stripe-of", _plain(name)) for n, name in enumerate(STARTING)],
    )  # fmt: skip


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _stacked(start: Start, x: chart.Scale, middle: float) -> list[chart.Mark]:
    kinds = {True: ", empty caches", False: ", compiled before", None: ""}
    marks = [chart.label(x.start - 8, middle + 4, start.arm + kinds[start.cold], anchor="end")]
    at = 0.0
    for number, name in enumerate(STARTING):
        took = start.seconds.get(name, 0.0)
        tip = f"{start.arm}{kinds[start.cold]}: {_plain(name)} {duration(took)}"
        css = f"series-{number} stripe-of"
        marks.append(chart.rectangle(x(at), middle - 8, x(at + took), middle + 8, css, tip))
        at += took
    absent = ", ".join(map(_plain, start.missing))
    words = f"{duration(at)}{f'; not measured: {absent}' if absent else ''}"
    return [*marks, chart.label(x(at) + 8, middle + 4, words, "strong")]


def host_copies(run: Run) -> list[BarRow]:
    """How long a result takes to be copied, a bar for each arm, with its share of a call."""
    rows = [r for r in run.of("row") if positive(r.get("host_copy_s"))]
    calls = {id(row): figure(row.get("median_s")) for row in rows}
    found = _bar_rows(
        [row for row in rows if "#" not in str(row.get("arm"))], arms_of(run),
        lambda r: str(r.get("workload") or ""), lambda r: figure(r.get("host_copy_s")),
        lambda value: duration(value),
    )  # fmt: skip
    shares: dict[str, list[str]] = {}
    for row in rows:
        if (call := calls[id(row)]) and "#" not in str(row.get("arm")):
            text = f"{percent(row['host_copy_s'] / call)} of a call"
            shares.setdefault(str(row.get("workload") or ""), []).append(text)
    return [BarRow(row.name, row.bars, shares.get(row.name, [])) for row in found]


def _bar_rows(
    records: Sequence[Record], arms: Sequence[str], name_of: Any, value_of: Any, text_of: Any
) -> list[BarRow]:
    largest = max((value_of(r) or 0.0 for r in records), default=0.0) or 1.0
    rows: dict[str, list[Bar]] = {}
    for record in records:
        value = value_of(record)
        bar = Bar(
            round(value / largest, 4), text_of(value), series(arms, record.get("arm")),
            " ".join(filter(None, (str(record.get("arm") or ""), not_cpu(record)))),
        )  # fmt: skip
        rows.setdefault(name_of(record), []).append(bar)
    return [BarRow(name, bars, []) for name, bars in rows.items()]


def layers(run: Run) -> list[BarRow]:
    """Time of each place, a bar for each arm, next to its error and what is allowed."""
    arms = arms_of(run)
    records = [r for r in run.of("layer") if positive(r.get("median_s"))]
    rows = _bar_rows(
        records, arms, lambda r: short_name(r.get("tap")), lambda r: figure(r.get("median_s")),
        duration,
    )  # fmt: skip
    errors: dict[str, list[str]] = {}
    for record in records:
        cell = f"{record.get('arm')}: {scientific(record.get('max_error'))} of "
        cell += scientific(record.get("allowed"))
        if figure(record.get("max_error")) is not None:
            errors.setdefault(short_name(record.get("tap")), []).append(cell)
    return [BarRow(row.name, row.bars, errors.get(row.name, [])) for row in rows]
