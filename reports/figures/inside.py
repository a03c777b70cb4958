"""Figures of what both models do inside: attention, the residual stream, the next token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.figures import chart
from reports.figures.heat import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.artefacts import Artefacts

LEAST_DIFFERENCE = 1e-9
"""Differences of attention weights are drawn on a logarithmic scale from here to 1."""

RESIDUAL_AID = (
    "Each block adds to the residual stream, so its size grows with depth. The lines are the mean "
    "over the tokens, the band reaches from the smallest token to the largest."
)
ATTENTION_AID = (
    "Each row is a query, each column the key it looks at; a row sums to 1. Choose a map to "
    "enlarge it. Computed in float64 from each model's own c_attn results: softmax(q kᵀ / "
    "√head_dim)."
)
STEPS_AID = (
    "At each position: the oracle's five best next tokens with the probability that the candidate "
    "gives them. The prompt comes first, then the reference's own greedy continuation."
)


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention maps of all layers and heads.

    Attributes:
        tokens: texts.
        layers, heads: how many.
        sides: for `candidate`, `PyTorch` and `difference` (log scale): packed weights, layer by
            layer, head by head, query by query.
        largest: by layer and head, the largest difference.
    """

    tokens: list[str]
    layers: int
    heads: int
    sides: dict[str, str]
    largest: list[list[float]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A possible next token: its text, and its probability for each model."""

    text: str
    candidate: float
    torch: float
    oracle: float


@dataclass(frozen=True, slots=True)
class Step:
    """One position: the token there, what may follow, and whether both models choose alike."""

    position: int
    token: str
    continued: bool
    following: str
    choices: list[Choice]
    same: bool
    candidate_first: str


@dataclass(frozen=True, slots=True)
class Inside:
    """All that was seen of one device."""

    device: str
    residual: chart.Chart | None
    attention: Attention | None
    steps: list[Step]


def insides(artefacts: Artefacts) -> list[Inside]:
    """What was seen inside, device by device."""
    return [
        _inside(device, artefacts.below(f"{device}/inside"), number)
        for number, device in enumerate(artefacts.owners("inside"))
    ]


def _inside(device: str, arrays: Mapping[str, Any], number: int) -> Inside:
    return Inside(
        device=device,
        residual=_residual(arrays, f"residual-{number}"),
        attention=_attention(arrays),
        steps=_steps(arrays),
    )


def _residual(arrays: Mapping[str, Any], name: str) -> chart.Chart | None:
    if not {"residual_candidate", "residual_torch"} <= arrays.keys():
        return None
    sizes = {key: arrays[f"residual_{key}"] for key in ("candidate", "torch")}
    depth = len(sizes["torch"])
    x_span, y_span = chart.spans(chart.HALF, 280)
    x = chart.Scale(0, max(1, depth - 1), *x_span)
    y = chart.linear([float(s.max()) for s in sizes.values()], y_span)
    found = sizes["candidate"]
    upper, lower = (
        [(x(i), y(float(v))) for i, v in enumerate(edge(found, axis=1))]
        for edge in (np.max, np.min)
    )
    marks = [chart.area(upper, lower, "band")]
    for key, mark in (("torch", chart.diamond), ("candidate", chart.dot)):
        means = sizes[key].mean(axis=1)
        points = [(x(i), y(float(v))) for i, v in enumerate(means)]
        marks.append(chart.line(points, f"line {key}"))
        marks += [
            mark(px, py, key, f"{_depth(i, depth)}: {value:.6g} ({key})")
            for i, ((px, py), value) in enumerate(zip(points, means, strict=True))
        ]
    every = max(1, depth // 8)
    return chart.Chart(
        name=name, title="Size of the residual stream", aid=RESIDUAL_AID, width=chart.HALF,
        height=280, x_title="depth", y_title="rms of the residual stream",
        x_ticks=[(x(i), _depth(i, depth)) for i in range(0, depth, every)], y_ticks=y.ticks(5),
        marks=marks,
        legend=[("candidate", "candidate"), ("torch", "PyTorch"), ("band", "all tokens")],
    )  # fmt: skip


def _depth(index: int, depth: int) -> str:
    return "ln_f ←" if index == depth - 1 else f"h.{index} ←"


def _attention(arrays: Mapping[str, Any]) -> Attention | None:
    names = ("attention_candidate", "attention_torch", "tokens")
    if not all(name in arrays for name in names):
        return None
    found, expected, tokens = (arrays[name] for name in names)
    if found.shape != expected.shape or found.ndim != 4 or found.shape[2] != len(tokens):
        return None
    difference = np.abs(found.astype(float) - expected.astype(float))
    shown = np.log10(np.maximum(difference, LEAST_DIFFERENCE)) / -np.log10(LEAST_DIFFERENCE) + 1
    return Attention(
        tokens=[visible(str(text)) for text in tokens],
        layers=found.shape[0],
        heads=found.shape[1],
        sides={"candidate": pack(found), "PyTorch": pack(expected), "difference": pack(shown)},
        largest=difference.max(axis=(2, 3)).tolist(),
    )


def _steps(arrays: Mapping[str, Any]) -> list[Step]:
    needed = ("tokens", "prompt", "top_tokens", "top_candidate", "top_torch", "top_oracle")
    if not all(name in arrays for name in needed):
        return []
    tokens = [visible(str(text)) for text in arrays["tokens"]]
    firsts = [arrays.get(f"first_tokens_{key}", arrays["tokens"]) for key in ("candidate", "torch")]
    return [
        Step(
            position=index,
            token=token,
            continued=index >= int(arrays["prompt"]),
            following=tokens[index + 1] if index + 1 < len(tokens) else "",
            choices=_choices(arrays, index),
            same=bool(firsts[0][index] == firsts[1][index]),
            candidate_first=visible(str(firsts[0][index])),
        )
        for index, token in enumerate(tokens)
    ]


def _choices(arrays: Mapping[str, Any], index: int) -> list[Choice]:
    columns: Sequence[Any] = [
        arrays[f"top_{key}"][index] for key in ("tokens", "candidate", "torch", "oracle")
    ]
    return [
        Choice(visible(str(text)), float(candidate), float(torch), float(oracle))
        for text, candidate, torch, oracle in zip(*columns, strict=True)
    ]


def visible(text: str) -> str:
    """A token's text with its leading space and line ends to be seen."""
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
