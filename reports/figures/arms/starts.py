"""How an arm starts, from nothing to its first result, and what it costs to keep a result."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from reports.figures import chart
from reports.figures.bars import BarRow, bar_rows
from reports.figures.speed import Record, arms_of, not_cpu, positive
from reports.tables.numbers import duration, figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

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
    found = bar_rows(
        [row for row in rows if "#" not in str(row.get("arm"))], arms_of(run),
        lambda r: str(r.get("workload") or ""), lambda r: figure(r.get("host_copy_s")),
        lambda value: duration(value),
    )  # fmt: skip
    shares: dict[str, list[str]] = {}
    for row in rows:
        if (call := calls[id(row)]) and "#" not in str(row.get("arm")):
            text = f"{100 * row['host_copy_s'] / call:.2g}% of a call"
            shares.setdefault(str(row.get("workload") or ""), []).append(text)
    return [BarRow(row.name, row.bars, shares.get(row.name, [])) for row in found]
