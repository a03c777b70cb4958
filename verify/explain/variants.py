"""What people compute in place of a stage of GPT-2, by place.

Each is a fault of the same kind as the catalogue's (`verify.faults.base`), or a family of them with
a number. They explain, and are planted in no run. Shapes as in `reference.oracle`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.taps import INPUT
from verify.explain import activation_faults, attention_faults
from verify.explain.closed_forms import FACTORS, SCALES, Form, number
from verify.explain.families import Family
from verify.explain.norm_faults import norm_faults
from verify.faults.base import Fault
from verify.faults.catalogue import (
    ACTIVATION,
    ATTENTION,
    BLOCK,
    C_ATTN,
    C_FC,
    CORE,
    LN_1,
    catalogue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reference.oracle import Oracle
    from reference.trace import Array
    from verify.explain.failure import Failure

NORMS = (LN_1, f"{BLOCK}.ln_2", "transformer.ln_f")
LINEARS = (C_ATTN, f"{ATTENTION}.c_proj", C_FC, f"{BLOCK}.mlp.c_proj")
POSITIONS = f"transformer.wpe{INPUT}"
MIDDLE = f"{BLOCK}.ln_2{INPUT}"

PLACES = (CORE, ACTIVATION, POSITIONS, MIDDLE, *NORMS, *LINEARS)
"""Where faults and families are known beyond the catalogue's, the likeliest first."""

EPS_FORMS = tuple(map(number, ("1e-5", "1e-6", "1e-12", "1e-8", "1e-3", "1e-7", "1e-4", "0")))

VALUES: dict[str, tuple[Form, Form]] = {
    "scale_missing": (SCALES[1], SCALES[0]),
    "scale_twice": (SCALES[2], SCALES[0]),
    "scale_n_embd": (SCALES[3], SCALES[0]),
    "scale_by_layer": (SCALES[4], SCALES[0]),
}
"""By a fault of the catalogue that has a number: its formula, and GPT-2's."""

OWN = ("key_bias_dropped", "conv1d_not_transposed", "ln_swapped")
"""Faults of the catalogue that mean nothing at other layers of their kind."""


# ---- by place ------------------------------------------------------------------------------------


def faults_at(place: str, failure: Failure) -> Iterator[Fault]:
    """Faults of a place, the catalogue's first.

    Args:
        place: of a GPT-2, with `{layer}` for the block's number.
        failure: what is to be explained.
    """
    known = catalogue(failure.expected.dtype, failure.expected.oracle.config)
    yield from (fault for fault in known if fault.tap == place)
    yield from _moved(place, known)
    if place == CORE:
        yield from attention_faults.attention_faults(failure.expected.oracle.config)
    if place == ACTIVATION:
        yield from activation_faults.activation_faults()
    if place in NORMS:
        yield from norm_faults(place)
    if place in LINEARS:
        yield from _linear_faults(place, failure)


def last_resorts(place: str, failure: Failure) -> Iterator[Fault]:
    """Faults with several numbers, which explain more than is meant: tried after all others.

    Args:
        place: as in `faults_at`.
        failure: as in `faults_at`.
    """
    if place == ACTIVATION:
        yield from activation_faults.both_constants(failure)


def families_at(place: str) -> tuple[Family, ...]:
    """Families of a place, with `{layer}` for the block's number."""
    if place in NORMS:
        return of_norm(place)
    of_place = {
        CORE: attention_faults.FAMILIES,
        ACTIVATION: activation_faults.FAMILIES,
        POSITIONS: OF_POSITIONS,
        MIDDLE: OF_RESIDUALS,
    }
    return of_place.get(place, ())


def _moved(place: str, faults: Sequence[Fault]) -> Iterator[Fault]:
    """Faults of one LayerNorm or linear layer, at another one."""
    kin = next((kin for kin in (NORMS, LINEARS) if place in kin), ())
    known = {fault.id for fault in faults if fault.tap == place} | set(OWN)
    for fault in faults:
        of_layer = fault.tap in kin and fault.method in ("layer_norm", "linear")
        if of_layer and fault.id not in known:
            expected = fault.expected.replace("ln_f before the head", "a LayerNorm here")
            yield replace(fault, tap=place, within=place, expected=expected)


# ---- LayerNorm -----------------------------------------------------------------------------------


def _norm(value: float, *, outside: bool) -> Callable[..., Array]:
    def layer_norm(model: Oracle, original: Any, x: Array, path: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        below = np.sqrt(variance) + value if outside else np.sqrt(variance + value)
        normalised = centred / below
        return normalised * model.weights[f"{path}.weight"] + model.weights[f"{path}.bias"]

    return layer_norm


def of_norm(place: str) -> tuple[Family, ...]:
    """Families of a LayerNorm: its epsilon, under the root or outside."""
    at: dict[str, Any] = {
        "tap": place, "method": "layer_norm", "within": place, "span": (1e-9, 1.0),
    }  # fmt: skip
    return (
        Family(
            id="ln_eps", replace=lambda value: _norm(value, outside=False), found="eps = {}",
            expected="(x - mean) / sqrt(var + eps), eps = layer_norm_epsilon = {}",
            right=lambda config, _: config.layer_norm_epsilon, forms=EPS_FORMS, **at,
        ),
        Family(
            id="ln_eps_outside", replace=lambda value: _norm(value, outside=True),
            found="(x - mean) / (sqrt(var) + eps) with eps = {}",
            expected="(x - mean) / sqrt(var + eps)", forms=EPS_FORMS[:-1], **at,
        ),
    )  # fmt: skip


# ---- linear layers -------------------------------------------------------------------------------


def _linear(weight: str, bias: str, *, transposed: bool = False) -> Callable[..., Array]:
    def linear(model: Oracle, original: Any, x: Array, path: str) -> Array:
        matrix = model.weights[weight]
        return model.matmul(x, matrix.T if transposed else matrix) + model.weights[bias]

    return linear


def _bias_twice(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return original(x, path) + model.weights[f"{path}.bias"]


def _linear_faults(place: str, failure: Failure) -> Iterator[Fault]:
    """Weights of another block, transposed ones, and a bias that is added twice."""
    oracle, layer = failure.expected.oracle, failure.layer or 0
    own = place.format(layer=layer)
    at: dict[str, Any] = {
        "tap": place, "method": "linear", "within": place, "seen_in": "", "expected": "x W + b",
    }  # fmt: skip
    if len(set(oracle.weights[f"{own}.weight"].shape)) == 1:
        turned = _linear(f"{own}.weight", f"{own}.bias", transposed=True)
        found = "x W^T + b: the square weight not transposed"
        yield Fault(id="not_transposed", replace=turned, found=found, **at)
    yield Fault(id="bias_twice", replace=_bias_twice, found="x W + 2 b", **at)
    for other in range(oracle.config.n_layer):
        theirs = place.format(layer=other)
        kinds = {
            "weight and bias": (theirs, theirs),
            "weight": (theirs, own),
            "bias": (own, theirs),
        }
        for what, (weight, bias) in kinds.items() if other != layer else ():
            moved = _linear(f"{weight}.weight", f"{bias}.bias")
            found = f"the {what} of block {other}"
            yield Fault(id="other_block", replace=moved, found=found, **at)


# ---- positions, and the residual stream, where they are not shown --------------------------------


def _shifted(value: float) -> Callable[..., Array]:
    def positions(model: Oracle, original: Any, ids: Array) -> Array:
        return np.clip(original(ids) + int(value), 0, model.config.n_positions - 1)

    return positions


def _ended(value: float) -> Callable[..., Array]:
    return lambda model, original, ids: np.minimum(original(ids), int(value) - 1)


def _wrapped(value: float) -> Callable[..., Array]:
    return lambda model, original, ids: original(ids) % int(value)


_AT_POSITIONS: dict[str, Any] = {
    "tap": POSITIONS, "method": "positions", "within": "", "expected": "positions 0, 1, 2, ...",
}  # fmt: skip

OF_POSITIONS = (
    Family(
        id="pos_shift", replace=_shifted, forms=tuple(map(number, ("1", "2", "-1"))),
        found="positions shifted by {}", **_AT_POSITIONS,
    ),
    Family(
        id="pos_end", replace=_ended, forms=(), estimate=attention_faults.first_wrong_position,
        found="only {} positions: later tokens repeat the last", **_AT_POSITIONS,
    ),
    Family(
        id="pos_wrap", replace=_wrapped, forms=(), estimate=attention_faults.first_wrong_position,
        found="positions that begin anew after {}", **_AT_POSITIONS,
    ),
)  # fmt: skip
"""Families of positions."""


def _added(value: float) -> Callable[..., Array]:
    return lambda model, original, x, y: x + value * y


OF_RESIDUALS = (
    Family(
        id="residual_factor", tap=MIDDLE, method="add", within=BLOCK, replace=_added,
        forms=FACTORS, span=(0.03, 30.0), right=lambda *_: 1.0, unseen=True,
        found="x + {} f(x) in both sums of the residual stream", expected="x + f(x)",
    ),
)  # fmt: skip
"""A factor before what is added to the residual stream, seen where a block is one module."""
