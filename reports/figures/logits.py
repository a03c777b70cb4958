"""Figures of the logits: how far from float64's distributions, and which choices change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.figures import chart

if TYPE_CHECKING:
    from reports.saved.artefacts import Artefacts

EXACT_KL = 1e-16
"""Divergences at or below are drawn as this; in float64 they are rounding."""

LARGEST_KL = 1e3
"""Divergences that are infinite or not a number are drawn as this."""

MOST_POSITIONS = 2000
"""Positions in the scatter of leads; beyond, those nearest to a flip are shown."""

KL_AID = (
    "How far the distributions over the next token are from float64's: further left is closer, "
    "and both histograms should lie on each other."
)

LEAD_AID = (
    "A first choice can only change below the line, where the oracle's lead over its second choice "
    "is less than twice the error. The distance to the line is the safety margin."
)


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
    """The oracle's lead over its second choice against the error of the logits, by position."""
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
