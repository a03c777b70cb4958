"""Figures as bars: memory and phases by arm, and the time of each place next to its error."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.figures.speed import Record, arms_of, not_cpu, positive, series
from reports.tables.numbers import duration, figure, scientific

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

LAYERS_AID = (
    "Bars are the median time of each place alone; next to them its error to float64 and the "
    "largest error that passes. What is fast because it computes less shows here."
)

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
    return bar_rows(
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
            cold = record.get("generation", 0) is None and record.get("cache") is None
            apart = "(empty caches)" if cold else ""
            parts = (record.get("phase"), record.get("workload"), record.get("cache"), apart)
            name = " ".join(str(part) for part in parts if part)
            key = name, record.get("arm"), record.get("device")
            seconds.setdefault(key, []).append(figure(took) or 0.0)
    records = [
        {"name": name, "arm": arm, "device": device, "seconds": median(took)}
        for (name, arm, device), took in seconds.items()
    ]
    return bar_rows(
        records, arms, lambda r: str(r["name"]), lambda r: figure(r["seconds"]), duration
    )


def bar_rows(
    records: Sequence[Record], arms: Sequence[str], name_of: Any, value_of: Any, text_of: Any
) -> list[BarRow]:
    """Rows by `name_of`, in each a bar for every record, as long as `value_of` says."""
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
    rows = bar_rows(
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
