"""What people compute in place of GELU, beyond the faults of the catalogue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from impl.config import GELU_CUBE, GELU_SLOPES
from verify.explain.closed_forms import Form, number, short
from verify.explain.families import Family
from verify.faults.base import Fault
from verify.faults.catalogue import ACTIVATION, C_FC
from verify.faults.configured import GELU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference.trace import Array
    from verify.explain.failure import Failure

SLOPES = (
    Form("sqrt(2/pi)", lambda *_: math.sqrt(2 / math.pi)),
    number("0.8"),
    number("1"),
    Form("2/pi", lambda *_: 2 / math.pi),
    Form("1/sqrt(2)", lambda *_: math.sqrt(0.5)),
    Form("sqrt(2)/pi", lambda *_: math.sqrt(2) / math.pi),
    Form("sqrt(pi/2)", lambda *_: math.sqrt(math.pi / 2)),
)
CUBES = tuple(map(number, ("0.044715", "0.44715", "0.0044715", "0.047715", "0.04475", "0")))

SLOPE, CUBE = GELU_SLOPES["gelu_tanh"], GELU_CUBE
"""GELU's constants in its tanh form (Hendrycks and Gimpel 2016)."""

AT: dict[str, Any] = {
    "tap": ACTIVATION, "method": "activation", "within": ACTIVATION, "expected": GELU,
}  # fmt: skip


def tanh_gelu(slope: float, cube: float) -> Callable[..., Array]:
    """GELU's tanh form with other constants."""
    return elementwise(lambda x: 0.5 * x * (1 + np.tanh(slope * (x + cube * x * x * x))))


def elementwise(function: Callable[[Array], Array]) -> Callable[..., Array]:
    """An activation."""
    return lambda model, original, x, path: function(x)


def _sigmoid(slope: float) -> Callable[..., Array]:
    return elementwise(lambda x: x * special.expit(slope * x))


def _leaky(slope: float) -> Callable[..., Array]:
    return elementwise(lambda x: np.where(x > 0, x, slope * x))


FAMILIES = (
    Family(
        id="gelu_cube", replace=lambda value: tanh_gelu(SLOPE, value), forms=CUBES,
        span=(1e-3, 1.0), right=lambda *_: CUBE,
        found="0.5 x (1 + tanh(sqrt(2/pi) (x + c x^3))) with c = {}", **AT,
    ),
    Family(
        id="gelu_slope", replace=lambda value: tanh_gelu(value, CUBE), forms=SLOPES,
        span=(0.1, 3.0), right=lambda *_: SLOPE,
        found="0.5 x (1 + tanh(a (x + 0.044715 x^3))) with a = {}", **AT,
    ),
    Family(
        id="sigmoid_slope", replace=_sigmoid, span=(0.1, 5.0), found="x sigmoid({} x)",
        forms=tuple(map(number, ("1", "1.702", "1.5957691"))), **AT,
    ),
    Family(
        id="leaky_relu", replace=_leaky, span=(1e-3, 1.0), found="x where x > 0, else {} x",
        forms=tuple(map(number, ("0.01", "0.1", "0.2"))), **AT,
    ),
)  # fmt: skip
"""Families of activations."""

_OTHERS: tuple[tuple[str, Callable[[Array], Array], str], ...] = (
    ("silu", lambda x: x * special.expit(x), "x sigmoid(x) (SiLU)"),
    ("tanh", np.tanh, "tanh(x)"),
    ("sigmoid", special.expit, "sigmoid(x)"),
    ("relu_squared", lambda x: np.maximum(x, 0) ** 2, "max(x, 0)^2"),
    (
        "elu",
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "x where x > 0, else e^x - 1",
    ),
    ("softplus", lambda x: np.logaddexp(x, 0), "log(1 + e^x)"),
    ("mish", lambda x: x * np.tanh(np.logaddexp(x, 0)), "x tanh(log(1 + e^x))"),
    (
        "gelu_without_half",
        lambda x: x * (1 + np.tanh(SLOPE * (x + CUBE * x * x * x))),
        "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the factor 0.5 left out",
    ),
    (
        "gelu_square",
        lambda x: 0.5 * x * (1 + np.tanh(SLOPE * (x + CUBE * x * x))),
        "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^2))), a square for the cube",
    ),
    (
        "gelu_bracket",
        lambda x: 0.5 * x * (1 + np.tanh(SLOPE * x + CUBE * x * x * x)),
        "0.5 x (1 + tanh(sqrt(2/pi) x + 0.044715 x^3)), a bracket closed too early",
    ),
)


def gelu(x: Array) -> Array:
    """GELU in its tanh form."""
    result: Array = 0.5 * x * (1 + np.tanh(SLOPE * (x + CUBE * x * x * x)))
    return result


def softmax(x: Array) -> Array:
    """exp(x) / sum exp(x) over the last axis."""
    weights: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


_FURTHER: tuple[tuple[str, Callable[[Array], Array], str], ...] = (
    ("gelu_twice", lambda x: gelu(gelu(x)), "gelu(gelu(x)): GELU twice"),
    (
        "gelu_no_one",
        lambda x: 0.5 * x * np.tanh(SLOPE * (x + CUBE * x * x * x)),
        "0.5 x tanh(sqrt(2/pi) (x + 0.044715 x^3)), the 1 + left out",
    ),
    (
        "gelu_minus",
        lambda x: 0.5 * x * (1 - np.tanh(SLOPE * (x + CUBE * x * x * x))),
        "0.5 x (1 - tanh(sqrt(2/pi) (x + 0.044715 x^3))), a minus for the plus",
    ),
    (
        "gelu_divided",
        lambda x: 0.5 * x * (1 + np.tanh((x + CUBE * x * x * x) / SLOPE)),
        "0.5 x (1 + tanh((x + 0.044715 x^3) / sqrt(2/pi))), divided where it multiplies",
    ),
    ("softmax", softmax, "softmax(x) over the features"),
    ("squared", np.square, "x^2"),
)


def activation_faults() -> Iterator[Fault]:
    """Activations without a number to be fitted."""
    for id_, function, found in (*_OTHERS, *_FURTHER):
        yield Fault(id=id_, replace=elementwise(function), found=found, seen_in="", **AT)


def both_constants(failure: Failure) -> Iterator[Fault]:
    """Both constants of GELU's tanh form, from where neither tail hides them.

    atanh(2 y / x - 1) = a x + a c x^3 is linear in x and x^3.

    Args:
        failure: of the activation, or of what the next layer is given.
    """
    given = failure.expected.given.get(C_FC.format(layer=failure.layer or 0))
    if given is None or given.shape != failure.found.shape or not failure.comparable:
        return
    x, y = given.astype(np.float64).ravel(), failure.found.astype(np.float64).ravel()
    with np.errstate(all="ignore"):
        bent = 2 * y / x - 1
    seen = (np.abs(bent) < 0.99) & (np.abs(x) > 1e-3)  # beyond, a digit of y is a digit of nothing
    if seen.sum() < 2:
        return
    table = np.stack([x[seen], x[seen] ** 3], axis=1)
    slope, cubed = np.linalg.lstsq(table, np.arctanh(bent[seen]), rcond=None)[0].tolist()
    if slope:
        a, c = short(slope), short(cubed / slope)
        yield Fault(
            id="gelu_constants", replace=tanh_gelu(slope, cubed / slope), seen_in="",
            found=f"0.5 x (1 + tanh(a (x + c x^3))) with a = {a} and c = {c}", **AT,
        )  # fmt: skip
