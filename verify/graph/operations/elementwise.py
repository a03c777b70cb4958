"""Operations on each element by itself: arithmetic, comparison, logic, casts, activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from verify.graph.operations.registry import CUSTOM, MEANINGS, meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array
    from verify.graph.scope import Scope


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays as a meaning: it needs nothing else of its operation."""

    def of_arrays(scope: Scope, *arrays: Array) -> Any:
        return function(*arrays)

    return of_arrays


def quotient(a: Array, b: Array) -> Array:
    """`a / b`; of integers, rounded towards zero."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    with np.errstate(divide="ignore"):
        whole = a // b
        return whole + ((a % b != 0) & ((a < 0) != (b < 0)))


def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))` without an overflow."""
    return special.expit(x)


def silu(x: Array) -> Array:
    """`x sigmoid(x)`."""
    return x * special.expit(x)


def gelu(x: Array) -> Array:
    """`x (1 + erf(x / sqrt(2))) / 2`, Hugging Face's `gelu`."""
    return 0.5 * x * (1 + special.erf(x * x.dtype.type(math.sqrt(0.5))))


def gelu_tanh(x: Array) -> Array:
    """`x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, Hugging Face's `gelu_new`."""
    number = x.dtype.type
    inner = number(math.sqrt(2 / math.pi)) * (x + number(0.044715) * (x * x * x))
    return number(0.5) * x * (1 + np.tanh(inner))


def gelu_quick(x: Array) -> Array:
    """`x sigmoid(1.702 x)`, CLIP's `quick_gelu`."""
    return x * special.expit(x.dtype.type(1.702) * x)


MEANINGS.update(
    {
        "mo.add": _plain(np.add),
        "mo.sub": _plain(np.subtract),
        "mo.mul": _plain(np.multiply),
        "mo.div": _plain(quotient),
        "mo.mod": _plain(np.mod),
        "mo.pow": _plain(np.power),
        "mo.max": _plain(np.maximum),
        "mo.min": _plain(np.minimum),
        "mo.equal": _plain(np.equal),
        "mo.not_equal": _plain(np.not_equal),
        "mo.greater": _plain(np.greater),
        "mo.greater_equal": _plain(np.greater_equal),
        "mo.and": _plain(np.logical_and),
        "mo.or": _plain(np.logical_or),
        "mo.xor": _plain(np.logical_xor),
        "mo.not": _plain(np.logical_not),
        "mo.select": _plain(np.where),
        "mo.abs": _plain(np.abs),
        "mo.negative": _plain(np.negative),
        "mo.sqrt": _plain(np.sqrt),
        "mo.rsqrt": _plain(lambda x: 1 / np.sqrt(x)),
        "mo.exp": _plain(np.exp),
        "mo.log": _plain(np.log),
        "mo.log1p": _plain(np.log1p),
        "mo.sin": _plain(np.sin),
        "mo.cos": _plain(np.cos),
        "mo.tanh": _plain(np.tanh),
        "mo.atanh": _plain(np.arctanh),
        "mo.erf": _plain(special.erf),
        "mo.floor": _plain(np.floor),
        "mo.ceil": _plain(np.ceil),
        "mo.round": _plain(np.rint),
        "mo.trunc": _plain(np.trunc),
        "mo.is_nan": _plain(np.isnan),
        "mo.is_inf": _plain(np.isinf),
        "mo.relu": _plain(lambda x: np.maximum(x, x.dtype.type(0))),
        "mo.sigmoid": _plain(sigmoid),
        "mo.silu": _plain(silu),
        "mo.gelu": _plain(gelu),
        "mo.gelu_tanh": _plain(gelu_tanh),
        "mo.gelu_quick": _plain(gelu_quick),
    }
)

CUSTOM["mo.acos"] = _plain(np.arccos)


@meaning("mo.cast")
def cast(scope: Scope, x: Array) -> Array:
    """To another dtype; a fraction is cut off where the new dtype is an integer."""
    return x.astype(scope.dtype(), copy=False)


@meaning("mo.transfer")
def transfer(scope: Scope, x: Array, *chain: Any) -> Any:
    """To another device: the same numbers."""
    return (x, None) if len(scope.operation.results) > 1 else x
