"""The samples of a benchmark in the order in which they were taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import Record, arms_of, legend_of, positive, series
from reports.tables.numbers import figure, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

OUTLIER = 5.0
"""Samples are drawn on a logarithmic scale if one takes more than so many times the median."""

MOST_SAMPLES = 1500
"""Samples drawn of one workload; of more, every n-th is drawn and the figure says so."""

SAMPLES_AID = (
    "Every timed call, in the order in which it was made; arms take turns. Hollow marks belong to "
    "blocks that something else on the machine disturbed."
)


def courses(run: Run) -> list[Variant]:
    """The samples over time, one figure for each workload and device."""
    arms = arms_of(run)
    groups: dict[tuple[Any, Any], list[Record]] = {}
    for sample in run.of("sample"):
        if positive(sample.get("time_ns")):
            groups.setdefault((sample.get("workload"), sample.get("device")), []).append(sample)
    several = len({device for _, device in groups}) > 1
    return [
        Variant(
            f"{workload}{f' ({device})' if several else ''}",
            _course(samples, arms, f"course-{number}"),
        )
        for number, ((workload, device), samples) in enumerate(groups.items())
    ]


def _course(samples: Sequence[Record], arms: Sequence[str], name: str) -> chart.Chart:
    every = math.ceil(len(samples) / MOST_SAMPLES)
    shown = samples[::every]
    start = min((figure(s.get("start_ns")) or 0.0 for s in shown), default=0.0)
    stamped = all(figure(s.get("start_ns")) is not None for s in shown)
    places = [
        (figure(s["start_ns"]) or 0.0) - start if stamped else float(i) for i, s in enumerate(shown)
    ]
    times = [(figure(s["time_ns"]) or 0.0) / 1e6 for s in shown]
    x_span, y_span = chart.spans(chart.WIDE, 300)
    scale = 1e9 if stamped else 1.0
    x = chart.linear([p / scale for p in places], x_span)
    stretched = max(times) > OUTLIER * sorted(times)[len(times) // 2]
    y = chart.logarithmic(times, y_span) if stretched else chart.linear(times, y_span)
    marks = [
        _sample(s, x(p / scale), y(t), series(arms, s.get("arm")), t)
        for s, p, t in zip(shown, places, times, strict=True)
    ]
    thinned = f" Every {every}th of {len(samples)} samples is drawn." if every > 1 else ""
    return chart.Chart(
        name=name, title="Samples over time", aid=SAMPLES_AID + thinned, width=chart.WIDE,
        height=300, x_title="seconds since the first" if stamped else "sample",
        y_title=f"milliseconds{' (logarithmic)' if stretched else ''}",
        x_ticks=x.ticks(10), y_ticks=y.ticks(), marks=marks,
        legend=legend_of(arms, shown),
    )  # fmt: skip


def _sample(sample: Record, x: float, y: float, css: str, time_ms: float) -> chart.Mark:
    dirty = sample.get("clean") is False
    tip = f"{sample.get('arm')}, block {sample.get('block')}: {time_ms:.4g} ms"
    if dirty:
        why = [
            f"{name} {short(sample[key])}"
            for key, name in (
                ("waited_us", "waited for a CPU µs"),
                ("psi_us", "CPU pressure µs"),
                ("switches", "switches"),
                ("steal_us", "steal µs"),
            )
            if figure(sample.get(key)) is not None
        ]
        tip += "\ndisturbed: " + ", ".join(why)
    return chart.dot(x, y, f"{css} hollow dirty" if dirty else css, tip, 3.2)
