"""Ratios of a benchmark: time of one arm over another's, with the null's band."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.tables.numbers import brief, figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.saved.records import Run

Record = dict[str, Any]

SERIES = 6
"""Colours for arms; a seventh arm has the first again."""

RATIO_AID = (
    "Left of 1 the arm takes less time than the one it is compared with. The line is the 95% "
    "interval; the grey band is what the same arm against itself came to in this run, so that a "
    "dot inside it means nothing."
)


def arms_of(run: Run) -> list[str]:
    """The arms in the order of their appearance; their index is their colour."""
    records = [r for kind in ("row", "layer", "sample", "memory") for r in run.of(kind)]
    return list(dict.fromkeys(str(r["arm"]) for r in records if r.get("arm")))


def series(arms: Sequence[str], arm: Any) -> str:
    """The CSS class of an arm's colour."""
    return f"series-{arms.index(str(arm)) % SERIES}" if str(arm) in arms else "series-4"


def ratios(run: Run) -> chart.Chart | None:
    """Time of each arm over another's, by workload, with the null's band."""
    effects = [e for e in run.of("effect") if positive(e.get("ratio"))]
    if not effects:
        return None
    arms = arms_of(run)
    left, right, row = 250, 190, 26
    height = chart.TOP + chart.BOTTOM + row * len(effects)
    x_span = (left, chart.WIDE - right)
    values = [figure(e.get(k)) for e in effects for k in ("ratio", "ci_lo", "ci_hi")]
    bands = [_null_band(run, effect) for effect in effects]
    edges = [edge for band in bands if band for edge in band]
    known = [value for value in [*values, *edges] if value and math.isfinite(value)]
    x = around_one(known, x_span)
    marks = []
    for index, (effect, band) in enumerate(zip(effects, bands, strict=True)):
        middle = chart.TOP + row * (index + 0.5)
        marks += _ratio_row(effect, band, x, middle, series(arms, effect.get("arm")))
    marks.append(chart.segment(x(1.0), chart.TOP, x(1.0), height - chart.BOTTOM, "one"))
    return chart.Chart(
        name="ratios", title="Time of one arm over another's", aid=RATIO_AID, width=chart.WIDE,
        height=height, x_title="time over time (logarithmic); less is faster", y_title="",
        x_ticks=_ratio_ticks(x), y_ticks=[], marks=marks, left=left,
        legend=[("band", "the same arm against itself"), *legend_of(arms, effects)],
    )  # fmt: skip


def _ratio_row(
    effect: Record, band: tuple[float, float] | None, x: chart.Scale, middle: float, css: str
) -> list[chart.Mark]:
    value, low, high = (figure(effect.get(key)) for key in ("ratio", "ci_lo", "ci_hi"))
    pair = f"{effect.get('arm')} / {effect.get('versus')}"
    tip = f"{effect.get('workload')}, {pair}\n{brief(value)} (95%: {brief(low)} to {brief(high)})"
    marks = []
    if band:
        marks.append(chart.rectangle(x(band[0]), middle - 11, x(band[1]), middle + 11, "band"))
    if low and high:
        marks.append(chart.segment(x(low), middle, x(high), middle, f"{css} whisker", tip))
    marks.append(chart.dot(x(value or 1.0), middle, css, tip, 5))
    place = " ".join(filter(None, (_workload(effect), not_cpu(effect))))
    marks.append(chart.label(240, middle + 4, f"{place}:  {pair}", anchor="end"))
    words = f"{brief(value)}  {effect.get('verdict') or ''}"
    marks.append(chart.label(chart.WIDE - 176, middle + 4, words, "strong"))
    return marks


def _workload(record: Record) -> str:
    return str(record.get("workload") or "all")


def not_cpu(record: Record) -> str:
    """The device in brackets, unless it is the CPU."""
    return "" if record.get("device") in (None, "cpu") else f"({record['device']})"


def _null_band(run: Run, effect: Record) -> tuple[float, float] | None:
    """What equal code came to: the interval of its workload's null, before format 4 its margin."""
    margin = figure(effect.get("margin")) if effect.get("processes") is None else None
    if margin and math.isfinite(margin) and margin > 1:
        return 1 / margin, margin
    place = ("model", "workload", "device", "dtype", "threads")
    for null in run.of("null"):
        if all(null.get(key) == effect.get(key) for key in place):
            low, high = figure(null.get("ci_lo")), figure(null.get("ci_hi"))
            if low and high and math.isfinite(high):
                return low, high
    return None


def around_one(values: Sequence[float], span: tuple[float, float]) -> chart.Scale:
    """A logarithmic scale with 1 inside, and air at its ends."""
    low, high = min([*values, 1 / 1.1]), max([*values, 1.1])
    air = (high / low) ** 0.06
    return chart.Scale(low / air, high * air, *span, log=True)


def _ratio_ticks(x: chart.Scale) -> list[tuple[float, str]]:
    round_ones = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100)
    inside = [value for value in round_ones if x.low <= value <= x.high]
    return [(x(value), f"{value:g}") for value in inside]


def legend_of(arms: Sequence[str], records: Iterable[Record]) -> list[tuple[str, str]]:
    """The arms that records are of, each with its colour."""
    shown = {str(record.get("arm")) for record in records}
    return [(series(arms, arm), arm) for arm in arms if arm in shown]


def positive(value: Any) -> bool:
    """Whether a recorded figure can be drawn on a logarithmic scale."""
    number = figure(value)
    return number is not None and math.isfinite(number) and number > 0
