"""Rounding to fewer bits somewhere inside a stage: at which step, and to which format.

Nothing else is asked of such an explanation than that it leaves a small part of the error: where a
number lies halfway between two of the narrower format, float32 and float64 may round it to
different sides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import GELU_CUBE, GELU_SLOPES
from reference.taps import INPUT
from verify.explain.explanation import Explanation
from verify.explain.hidden import where
from verify.explain.variants import LINEARS, NORMS
from verify.faults.base import Fault
from verify.faults.catalogue import ACTIVATION, ATTENTION, BLOCK, CORE
from verify.judge.rounding import to_bf16, to_fp16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reference.oracle import Oracle
    from reference.trace import Array
    from verify.explain.failure import Failure

FORMATS: dict[str, Callable[[Array], Array]] = {
    "bfloat16": to_bf16,
    "float16": to_fp16,
}
"""TF32 has float16's bits: as far as neither overflows, no result tells them apart."""

REST = 0.5
"""Part of the error that rounding at the right step may leave: some elements round to the other
side. Rounding at another step leaves more than the whole."""


def roundings(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """The step at which rounding leaves least of the error, where that is little.

    Args:
        failures: by block, the most telling first.
    """
    held: dict[str, tuple[Fault, list[int | None]]] = {}
    for own, (failure, *_) in failures.items():
        fault = _best(failure)
        if fault is not None:
            held.setdefault(fault.found, (fault, []))[1].append(own)
    return [
        Explanation(
            id=fault.id, found=fault.found, expected=fault.expected, layers=tuple(owns),
            left=_left(fault),
        )
        for fault, owns in held.values()
    ]  # fmt: skip


def _left(fault: Fault) -> Callable[[Failure], float]:
    def left(failure: Failure) -> float:
        result = failure.variant(fault, failure.layer or 0)
        rest = math.inf if result is None else failure.left(result)
        return rest if rest <= REST else math.inf

    return left


def _best(failure: Failure) -> Fault | None:
    tried: list[tuple[float, int, Fault | None]] = []
    for place, layers in where(failure):
        for fault in rounding_faults(place, failure.expected.dtype):
            result = failure.variant(fault, layers[0])
            if result is not None:
                tried.append((failure.left(result), len(tried), fault))
    left, _, nearest = min(tried, default=(math.inf, 0, None), key=lambda one: one[:2])
    return nearest if left <= REST else None


def rounding_faults(place: str, dtype: str) -> Iterator[Fault]:
    """Rounding at each step of a stage, to each format but the declared one.

    Args:
        place: of a GPT-2, with `{layer}` for the block's number.
        dtype: the declared precision.
    """
    known = {CORE: ("attend", ATTENTION, ATTENTION_STEPS, _attend)}
    known |= {norm: ("layer_norm", norm, NORM_STEPS, _layer_norm) for norm in NORMS}
    known |= {linear: ("linear", linear, LINEAR_STEPS, _linear) for linear in LINEARS}
    known |= {ACTIVATION: ("activation", ACTIVATION, ACTIVATION_STEPS, _activation)}
    known |= {f"{BLOCK}.ln_2{INPUT}": ("add", BLOCK, SUM_STEPS, _add)}
    if place not in known:
        return
    method, within, steps, make = known[place]
    for step, words in steps.items():
        for name, round_ in FORMATS.items():
            if name.lower() == dtype:
                continue
            yield Fault(
                id=f"rounded_{name.lower()}", tap=place, method=method, within=within,
                replace=make(_only(step, round_)), found=f"{words} rounded to {name}",
                expected="no rounding on the way", seen_in="",
            )  # fmt: skip


def _only(step: str, round_: Callable[[Array], Array]) -> Callable[[str, Array], Array]:
    """Rounds at one step, and at no other."""
    return lambda name, array: round_(array) if name == step else array


ATTENTION_STEPS = {
    "weights": "the softmax's result",
    "scores": "scores, after the division by sqrt(head_dim),",
    "raw": "q k^T",
    "qk": "queries and keys",
    "value": "values",
    "all": "queries, keys and values",
    "mixed": "what attention returns",
    "both": "q k^T and the softmax's result",
}


def _attend(at: Callable[[str, Array], Array]) -> Callable[..., Array]:
    def attend(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        query, key, value = map(model.split_heads, np.split(at("all", fused), 3, axis=-1))
        query, key, value = at("qk", query), at("qk", key), at("value", value)
        raw = at("both", at("raw", query @ key.swapaxes(-1, -2)))
        scores = at("scores", raw * model.scale(path))
        weights = at("both", at("weights", model.softmax(model.masked(scores))))
        return at("mixed", model.merge_heads(weights @ value))

    return attend


NORM_STEPS = {
    "result": "LayerNorm's result",
    "normalised": "(x - mean) / sqrt(var + eps)",
    "x": "what LayerNorm is given",
    "centred": "x - mean",
    "variance": "the variance",
    "parameters": "weight and bias",
}


def _layer_norm(at: Callable[[str, Array], Array]) -> Callable[..., Array]:
    def layer_norm(model: Oracle, original: Any, x: Array, path: str) -> Array:
        x = at("x", x)
        centred = at("centred", x - x.mean(axis=-1, keepdims=True))
        variance = at("variance", (centred**2).mean(axis=-1, keepdims=True))
        root = np.sqrt(variance + model.config.layer_norm_epsilon)
        weight, bias = (at("parameters", model.weights[f"{path}.{n}"]) for n in ("weight", "bias"))
        return at("result", at("normalised", centred / root) * weight + bias)

    return layer_norm


LINEAR_STEPS = {
    "weight": "the weight",
    "x": "x",
    "both": "x and the weight",
    "product": "x W",
    "result": "x W + b",
    "bias": "the bias",
}


def _linear(at: Callable[[str, Array], Array]) -> Callable[..., Array]:
    def linear(model: Oracle, original: Any, x: Array, path: str) -> Array:
        weight = at("both", at("weight", model.weights[f"{path}.weight"]))
        product = at("product", model.matmul(at("both", at("x", x)), weight))
        return at("result", product + at("bias", model.weights[f"{path}.bias"]))

    return linear


ACTIVATION_STEPS = {
    "result": "what the activation returns",
    "x": "what the activation is given",
    "inner": "the tanh's argument",
    "tanh": "the tanh's result",
}


def _activation(at: Callable[[str, Array], Array]) -> Callable[..., Array]:
    def activation(model: Oracle, original: Any, x: Array, path: str) -> Array:
        x = at("x", x)
        slope = GELU_SLOPES.get(model.config.activation)
        if slope is None:
            return at("result", original(x, path))
        inner = at("inner", slope * (x + GELU_CUBE * x * x * x))
        return at("result", 0.5 * x * (1 + at("tanh", np.tanh(inner))))

    return activation


SUM_STEPS = {
    "result": "the residual stream",
    "x": "the residual stream, before the addition,",
    "y": "what is added to the residual stream",
}


def _add(at: Callable[[str, Array], Array]) -> Callable[..., Array]:
    return lambda model, original, x, y: at("result", at("x", x) + at("y", y))
