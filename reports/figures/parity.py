"""Figures of a verification: the errors by place, alone and through the stack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.taps import block_of, short_name
from reports.figures import chart
from reports.tables.frames import worst_of
from reports.tables.numbers import figure, percent, scientific, superscript

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

DIGITS = {"float32": 24, "float16": 11, "bfloat16": 8}
"""Binary digits of a number's significand; one rounding errs by at most 2 to minus this, from 1."""

AXIS_LETTERS = 100
"""Letters of block names that fit below a chart's axis."""

ERROR_AID = (
    "Each place works on PyTorch's own activations, so errors do not add up: a point above the "
    "band is a place that computes something else. The band is the worst that legitimate "
    "evaluations of the same place do in the same precision."
)

GROWTH_AID = (
    "Each place after all earlier ones, as the model really runs. A healthy curve climbs with "
    "PyTorch's; a step that PyTorch's curve lacks marks the error."
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One version of a figure that the reader can switch to."""

    label: str
    figure: Any


def errors_by_place(checks: pd.DataFrame, taps: Sequence[str]) -> list[Variant]:
    """Relative error of each place alone: one figure of all cases' worst, one of each regime."""
    return _by_regime(checks, "isolated", taps, "Error by place, each alone", ERROR_AID)


def growth(checks: pd.DataFrame, taps: Sequence[str]) -> list[Variant]:
    """The same, running free."""
    return _by_regime(checks, "free", taps, "Growth of the error through the stack", GROWTH_AID)


def _by_regime(
    checks: pd.DataFrame, mode: str, taps: Sequence[str], title: str, aid: str
) -> list[Variant]:
    some = checks[(checks["mode"] == mode) & checks["tap"].isin(list(taps))]
    groups = [("worst case", some)]
    groups += [(str(name), group) for name, group in some.groupby("regime", sort=False)]
    return [
        Variant(label, _error_chart(group, taps, title, aid, f"{mode}-{index}", mode == "free"))
        for index, (label, group) in enumerate(groups)
        if len(group)
    ]


def _error_chart(
    checks: pd.DataFrame, taps: Sequence[str], title: str, aid: str, name: str, joined: bool
) -> chart.Chart:
    rows = {row["tap"]: row for row in worst_of(checks, ["tap"]).to_dict("records")}
    points = [(index, _relative(rows[tap])) for index, tap in enumerate(taps) if tap in rows]
    x_span, y_span = chart.spans(chart.WIDE, 320)
    x = chart.Scale(-1, len(taps), *x_span)
    known = [value for _, p in points for value in p.values() if value is not None]
    dtype = _dtype(checks)
    roundoff = 2.0 ** -DIGITS[dtype]
    y = chart.logarithmic([*known, roundoff], y_span)
    marks = [*_blocks(taps, x, y_span), *_band(points, x, y)]
    marks.append(chart.segment(x_span[0], y(roundoff), x_span[1], y(roundoff), "rule"))
    if joined:
        marks += [_curve(points, key, x, y) for key in ("torch", "candidate")]
    for index, values in points:
        marks += _dots(x(index), y, rows[taps[index]], values)
    legend = [("candidate", "candidate"), ("torch", "PyTorch"), ("band", f"envelope of {dtype}")]
    legend.append(("rule", f"one rounding, 2{superscript(-DIGITS[dtype])}"))
    if any(rows[taps[i]]["verdict"] == "FAIL" for i, _ in points):
        legend.insert(1, ("failed", "fails"))
    return chart.Chart(
        name=name, title=title, aid=aid, width=chart.WIDE, height=320,
        x_title="place, in the order of execution", y_title="rms error / rms of the tensor",
        x_ticks=_block_ticks(taps, x), y_ticks=y.ticks(), marks=marks, legend=legend,
    )  # fmt: skip


def _dtype(checks: pd.DataFrame) -> str:
    """The precision of the checks; of several, or where it is not recorded, float32."""
    found = {str(dtype) for dtype in checks["dtype"]} & DIGITS.keys()
    return found.pop() if len(found) == 1 else "float32"


def _curve(
    points: Sequence[tuple[int, dict[str, float | None]]], key: str, x: chart.Scale, y: chart.Scale
) -> chart.Mark:
    known = [(x(index), y(value)) for index, values in points if (value := values[key])]
    return chart.line(known, f"line {key}")


def _relative(row: Mapping[Any, Any]) -> dict[str, float | None]:
    """Errors over the tensor's own size, which the record tells through PyTorch's or its own."""
    scale = _scale(row)
    envelope = figure(row["envelope_rms"])
    relative, torch = figure(row["relative"]), figure(row.get("torch_relative"))
    if torch is None and (error := figure(row["torch_rms"])) is not None and scale:
        torch = error / scale
    return {
        "candidate": relative,
        "torch": torch,
        "band": envelope / scale if envelope is not None and scale else None,
    }


def _scale(row: Mapping[Any, Any]) -> float | None:
    for error, share in (("rms", "relative"), ("torch_rms", "torch_relative")):
        over, under = figure(row.get(error)), figure(row.get(share))
        if over and under and math.isfinite(over) and math.isfinite(under):
            return over / under
    return None


def _band(
    points: Sequence[tuple[int, dict[str, float | None]]], x: chart.Scale, y: chart.Scale
) -> list[chart.Mark]:
    """The envelope as a stair of steps, one for each place."""
    marks = []
    for index, values in points:
        if values["band"]:
            marks.append(
                chart.rectangle(x(index - 0.5), y(y.low), x(index + 0.5), y(values["band"]), "band")
            )
    return marks


def _dots(
    at: float, y: chart.Scale, row: Mapping[Any, Any], values: dict[str, float | None]
) -> list[chart.Mark]:
    tip = (
        f"{short_name(row['tap'])}\n{percent(row['used'])} of the allowed error in {row['case']}\n"
        f"candidate {scientific(values['candidate'])}, PyTorch {scientific(values['torch'])}"
    )
    marks = []
    if values["torch"]:
        marks.append(chart.diamond(at, y(values["torch"]), "torch", tip))
    if row["verdict"] == "FAIL":
        value = values["candidate"]
        shown = y.high if value is None or not math.isfinite(value) else value
        marks.append(chart.cross(at, y(shown), "failed", f"FAIL {tip}"))
    elif values["candidate"]:
        marks.append(chart.dot(at, y(values["candidate"]), "candidate", tip))
    return marks


def _blocks(taps: Sequence[str], x: chart.Scale, span: tuple[float, float]) -> list[chart.Mark]:
    """Every other block shaded, so that the eye can count."""
    marks = []
    for number, (first, last, _) in enumerate(_block_spans(taps)):
        if number % 2 == 0:
            marks.append(
                chart.rectangle(x(first - 0.5), *span[:1], x(last + 0.5), span[1], "stripe")
            )
    return marks


def _block_spans(taps: Sequence[str]) -> list[tuple[int, int, str]]:
    """First and last index, and the name, of each block."""
    spans: dict[str, list[int]] = {}
    for index, tap in enumerate(taps):
        if block := block_of(tap):
            spans.setdefault(short_name(block), []).append(index)
    return [(places[0], places[-1], name) for name, places in spans.items()]


def _block_ticks(taps: Sequence[str], x: chart.Scale) -> list[tuple[float, str]]:
    spans = _block_spans(taps)
    every = math.ceil(sum(len(name) for _, _, name in spans) / AXIS_LETTERS) or 1
    ticks = [(x((first + last) / 2), name) for first, last, name in spans[::every]]
    if spans and spans[0][0] > 0:
        ticks.insert(0, (x((spans[0][0] - 1) / 2), "in"))
    if spans and spans[-1][1] < len(taps) - 1:
        ticks.append((x((spans[-1][1] + len(taps)) / 2), "out"))
    return ticks
