"""Figures of a verification: errors by place, through the stack, by token, and of the logits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports import chart
from reports.heat import Heat, log_heat
from reports.numbers import figure, percent, scientific, short_tap
from reports.tables import worst_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from reports.artefacts import Artefacts

ROUNDOFF = 2.0**-24
"""Half the gap between 1 and the next float32: the smallest error that one rounding makes."""

EXACT_KL = 1e-16
"""Divergences at or below are drawn as this; in float64 they are rounding."""

LARGEST_KL = 1e3
"""Divergences that are infinite or not a number are drawn as this."""

MOST_POSITIONS = 2000
"""Positions in the scatter of leads; beyond, those nearest to a flip are shown."""

FEW_TOKENS = 8
"""Cases with fewer tokens come last among the heat maps."""

ERROR_AID = (
    "Each place works on PyTorch's own activations, so errors do not add up: a point above the "
    "band is a place that computes something else. The band is the worst that legitimate float32 "
    "evaluations of the same place do."
)
GROWTH_AID = (
    "Behind all earlier places, as the model really runs. A healthy curve climbs with PyTorch's; a "
    "step that PyTorch has not is where something goes wrong."
)
KL_AID = (
    "How far the distributions over the next token are from float64's: further left is closer, "
    "and both histograms should lie on each other."
)
LEAD_AID = (
    "A first choice can only change below the line, where the oracle's lead over its second choice "
    "is less than twice the error. The distance to the line is the safety margin."
)
TOKENS_AID = (
    "Which tokens the error of a place comes from. A bright column is a position, a bright row a "
    "place; a row's root mean square is the place's share of the allowed error, so that a single "
    "token may pass 100% in a place that is allowed."
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One version of a figure that the reader can switch to."""

    label: str
    figure: Any


@dataclass(frozen=True, slots=True)
class Window:
    """The tensors around the worst element of the first divergence.

    Attributes:
        tap, case: where.
        tokens, features: indices of rows and columns.
        panels: title, and rows of (value, share of the panel's largest from -1 to 1).
        worst: row and column of the worst element.
    """

    tap: str
    case: str
    tokens: list[int]
    features: list[int]
    panels: list[tuple[str, list[list[tuple[str, float]]]]]
    worst: tuple[int, int]


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
    y = chart.logarithmic([*known, ROUNDOFF], y_span)
    marks = [*_blocks(taps, x, y_span), *_band(points, x, y)]
    marks.append(chart.segment(x_span[0], y(ROUNDOFF), x_span[1], y(ROUNDOFF), "rule"))
    if joined:
        marks += [_curve(points, key, x, y) for key in ("torch", "candidate")]
    for index, values in points:
        marks += _dots(x(index), y, rows[taps[index]], values)
    legend = [("candidate", "candidate"), ("torch", "PyTorch"), ("band", "envelope of float32")]
    legend.append(("rule", "one rounding, 2⁻²⁴"))
    if any(rows[taps[i]]["verdict"] == "FAIL" for i, _ in points):
        legend.insert(1, ("failed", "fails"))
    return chart.Chart(
        name=name, title=title, aid=aid, width=chart.WIDE, height=320,
        x_title="place, in the order of execution", y_title="rms error / rms of the tensor",
        x_ticks=_block_ticks(taps, x), y_ticks=y.ticks(), marks=marks, legend=legend,
    )  # fmt: skip


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
        f"{short_tap(row['tap'])}\n{percent(row['used'])} of the allowed error in {row['case']}\n"
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
        parts = tap.removeprefix("transformer.").removesuffix(":input").split(".")
        if len(parts) > 1 and parts[0] == "h":
            spans.setdefault(f"h.{parts[1]}", []).append(index)
    return [(places[0], places[-1], name) for name, places in spans.items()]


def _block_ticks(taps: Sequence[str], x: chart.Scale) -> list[tuple[float, str]]:
    spans = _block_spans(taps)
    every = max(1, math.ceil(len(spans) / 24))
    ticks = [(x((first + last) / 2), name) for first, last, name in spans[::every]]
    if spans and spans[0][0] > 0:
        ticks.insert(0, (x((spans[0][0] - 1) / 2), "in"))
    if spans and spans[-1][1] < len(taps) - 1:
        ticks.append((x((spans[-1][1] + len(taps)) / 2), "out"))
    return ticks


def divergences(artefacts: Artefacts) -> chart.Chart | None:
    """Histogram of the KL divergence of each position, in nats, for candidate and PyTorch."""
    found = {
        key: np.concatenate([np.zeros(0), *_of_cases(artefacts, name)])
        for key, name in (("candidate", "kl_nats"), ("torch", "torch_kl_nats"))
    }
    if not found["candidate"].size:
        return None
    decades = {
        key: np.log10(
            np.maximum(
                np.nan_to_num(values.astype(float), nan=LARGEST_KL, posinf=LARGEST_KL), EXACT_KL
            )
        )
        for key, values in found.items()
    }
    low = math.log10(EXACT_KL)
    high = max(
        low + 1, math.ceil(max(float(values.max(initial=low)) for values in decades.values()))
    )
    edges = np.linspace(low, high, max(2, int((high - low) * 3) + 1))
    counts = {key: np.histogram(values, edges)[0] for key, values in decades.items()}
    x_span, y_span = chart.spans(chart.HALF, 280)
    x = chart.Scale(10.0**low, 10.0**high, *x_span, log=True)
    y = chart.linear([float(c.max()) for c in counts.values()], y_span)
    marks = [*_bars(counts["candidate"], edges, x, y), _outline(counts["torch"], edges, x, y)]
    return chart.Chart(
        name="kl", title="KL divergence from float64, by position", aid=KL_AID,
        width=chart.HALF, height=280, x_title="KL divergence, nats", y_title="positions",
        x_ticks=x.ticks(), y_ticks=y.ticks(5), marks=marks,
        legend=[("candidate bar", "candidate"), ("torch line", "PyTorch")],
    )  # fmt: skip


def _of_cases(artefacts: Artefacts, name: str) -> list[Any]:
    paths = [f"{case}/logits/{name}" for case in artefacts.owners("logits")]
    return [artefacts.arrays[path].ravel() for path in paths if path in artefacts.arrays]


def _bars(counts: Any, edges: Any, x: chart.Scale, y: chart.Scale) -> list[chart.Mark]:
    return [
        chart.rectangle(
            x(10 ** float(first)), y(0), x(10 ** float(last)), y(float(count)), "candidate bar",
            f"{count} positions between {10**first:.0e} and {10**last:.0e} nats",
        )
        for count, first, last in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    ]  # fmt: skip


def _outline(counts: Any, edges: Any, x: chart.Scale, y: chart.Scale) -> chart.Mark:
    points = [(x(10 ** float(edges[0])), y(0.0))]
    for count, first, last in zip(counts, edges[:-1], edges[1:], strict=True):
        points += [(x(10 ** float(edge)), y(float(count))) for edge in (first, last)]
    return chart.line([*points, (points[-1][0], y(0.0))], "line torch")


def leads(artefacts: Artefacts) -> chart.Chart | None:
    """The oracle's lead over its second choice, beside the error of the logits, by position."""
    parts = [_of_cases(artefacts, name) for name in ("lead", "error", "flipped")]
    if not parts[0] or not all(len(part) == len(parts[0]) for part in parts):
        return None
    lead, error, flipped = (np.concatenate(part) for part in parts)
    total = len(lead)
    nearest = np.argsort(lead / np.maximum(error, 1e-30))[:MOST_POSITIONS]
    lead, error, flipped = lead[nearest], error[nearest], flipped[nearest].astype(bool)
    x_span, y_span = chart.spans(chart.HALF, 280)
    x, y = chart.logarithmic(error.tolist(), x_span), chart.logarithmic(lead.tolist(), y_span)
    marks = [_flip_line(x, y)]
    marks += [
        chart.dot(x(float(e)), y(float(m)), "candidate faint", radius=2)
        for m, e, flip in zip(lead, error, flipped, strict=True)
        if not flip
    ]
    marks += [
        chart.cross(x(float(e)), y(float(m)), "failed", f"changed: lead {m:.2e}, error {e:.2e}", 4)
        for m, e, flip in zip(lead, error, flipped, strict=True)
        if flip
    ]
    shown = f"{total}" if total <= MOST_POSITIONS else f"{MOST_POSITIONS} nearest of {total}"
    return chart.Chart(
        name="leads", title=f"First choices: {int(flipped.sum())} changed of {total} positions",
        aid=f"{LEAD_AID} ({shown} positions are drawn.)", width=chart.HALF, height=280,
        x_title="largest error of a logit", y_title="oracle's lead",
        x_ticks=x.ticks(5), y_ticks=y.ticks(6), marks=marks,
        legend=[("candidate", "same choice"), ("failed", "changed"), ("rule", "lead = 2 x error")],
    )  # fmt: skip


def _flip_line(x: chart.Scale, y: chart.Scale) -> chart.Mark:
    """The line lead = 2 error, as far as it lies within the chart."""
    first = max(x.low, y.low / 2)
    last = max(first, min(x.high, y.high / 2))
    return chart.segment(x(first), y(2 * first), x(last), y(2 * last), "rule")


def token_heat(artefacts: Artefacts, divergence: Mapping[str, Any] | None) -> list[Variant]:
    """Share of the allowed error by place and token; the first divergence's case comes first."""
    cases = artefacts.owners("tokens")
    first = (divergence or {}).get("case")
    found = {case: artefacts.below(f"{case}/tokens") for case in cases}
    whole = {
        case: arrays
        for case, arrays in found.items()
        if {"taps", "used", "ids"} <= arrays.keys() and arrays["used"].ndim == 2
    }
    order = sorted(
        whole, key=lambda c: (len(whole[c]["ids"]) < FEW_TOKENS, c != first, "text" not in c)
    )
    return [
        Variant(case, _one_heat(whole[case], f"tokens-{number}"))
        for number, case in enumerate(order)
    ]


def _one_heat(arrays: Mapping[str, Any], name: str) -> Heat:
    return log_heat(
        arrays["used"], name=name, low=1e-2, high=max(10.0, _peak(arrays["used"])),
        rows=[short_tap(str(tap)) for tap in arrays["taps"]],
        columns=[f"token {index} (id {token})" for index, token in enumerate(arrays["ids"])],
        unit="of the allowed error", title="Share of the allowed error, by place and token",
        aid=TOKENS_AID,
    )  # fmt: skip


def _peak(values: Any) -> float:
    finite = values[np.isfinite(values)]
    peak = float(finite.max(initial=1.0))
    return 10.0 ** math.ceil(math.log10(max(peak, 1.0)))


def window(artefacts: Artefacts, divergence: Mapping[str, Any] | None) -> Window | None:
    """The tensors around the worst element, in the case of that place that shows most tokens."""
    tap = (divergence or {}).get("tap")
    if not tap:
        return None
    found = {case: artefacts.below(f"{case}/window/{tap}") for case in artefacts.owners("window")}
    whole = {
        case: arrays
        for case, arrays in found.items()
        if {"worst", "first", "candidate", "oracle", "torch"} <= arrays.keys()
    }
    if not whole:
        return None
    case = max(whole, key=lambda one: whole[one]["candidate"].shape[0])
    return _window(str(tap), case, whole[case])


def _window(tap: str, case: str, arrays: Mapping[str, Any]) -> Window:
    found, truth = arrays["candidate"], arrays["oracle"]
    first, at = arrays["first"].tolist(), arrays["worst"].tolist()
    scale = float(np.nanmax(np.abs(truth), initial=0.0)) or 1.0
    difference = found - truth
    largest = float(np.nanmax(np.abs(np.nan_to_num(difference)), initial=0.0)) or 1.0
    return Window(
        tap=tap,
        case=case,
        tokens=[first[0] + index for index in range(found.shape[0])],
        features=[first[1] + index for index in range(found.shape[1])],
        panels=[
            ("candidate", _panel(found, scale)),
            ("float64", _panel(truth, scale)),
            ("candidate - float64", _panel(difference, largest)),
            ("PyTorch - float64", _panel(arrays["torch"] - truth, largest)),
        ],
        worst=(at[1] - first[0], at[2] - first[1]),
    )


def _panel(values: Any, scale: float) -> list[list[tuple[str, float]]]:
    return [[(f"{value:.3g}", _share(float(value) / scale)) for value in row] for row in values]


def _share(value: float) -> float:
    return 0.0 if math.isnan(value) else round(max(-1.0, min(1.0, value)), 3)
