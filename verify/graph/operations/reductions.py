"""Operations along an axis: sums, extremes, softmax, normalisation.

A reduced axis stays, with size 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


def laid_out(x: Array) -> Array:
    """The same numbers in one stretch of memory.

    Sums then run in the same order wherever the operand comes from.
    """
    return np.ascontiguousarray(x)


@meaning("mo.reduce.add")
def total(scope: Scope, x: Array) -> Array:
    """Sum."""
    return laid_out(x).sum(axis=scope["axis"], keepdims=True, dtype=x.dtype)


@meaning("mo.reduce.mul")
def multiplied(scope: Scope, x: Array) -> Array:
    """Product."""
    return laid_out(x).prod(axis=scope["axis"], keepdims=True, dtype=x.dtype)


@meaning("mo.reduce.mean")
def mean(scope: Scope, x: Array) -> Array:
    """Sum over number; of integers, rounded towards zero."""
    sums = total(scope, x)
    count = x.shape[scope["axis"]]
    return sums / count if x.dtype.kind == "f" else np.trunc(sums / count)


@meaning("mo.reduce.max")
def largest(scope: Scope, x: Array) -> Array:
    """The largest element."""
    return x.max(axis=scope["axis"], keepdims=True)


@meaning("mo.reduce.min")
def smallest(scope: Scope, x: Array) -> Array:
    """The smallest element."""
    return x.min(axis=scope["axis"], keepdims=True)


@meaning("mo.reduce.reduce_min_and_max")
def extremes(scope: Scope, x: Array) -> Array:
    """The smallest and the largest element, one after the other."""
    return np.concatenate([smallest(scope, x), largest(scope, x)], axis=scope["axis"])


@meaning("mo.reduce.arg_max")
def place_of_largest(scope: Scope, x: Array) -> Array:
    """Where the largest element is; the first of equal ones."""
    return x.argmax(axis=scope["axis"], keepdims=True)


@meaning("mo.reduce.arg_min")
def place_of_smallest(scope: Scope, x: Array) -> Array:
    """Where the smallest element is; the first of equal ones."""
    return x.argmin(axis=scope["axis"], keepdims=True)


@meaning("mo.cumsum")
def cumulative_sum(scope: Scope, x: Array) -> Array:
    """Sums up to each element: with it or without it, from the beginning or from the end."""
    axis = scope["axis"]
    ordered = np.flip(x, axis) if scope["reverse"] else x
    sums = np.cumsum(ordered, axis=axis, dtype=x.dtype)
    if scope["exclusive"]:
        zero = np.zeros_like(np.take(sums, [0], axis=axis)) if x.shape[axis] else sums
        sums = np.concatenate([zero, np.take(sums, range(x.shape[axis] - 1), axis=axis)], axis)
    return np.flip(sums, axis) if scope["reverse"] else sums


@meaning("mo.reduce.softmax")
def softmax(scope: Scope, x: Array) -> Array:
    """`exp(x) / sum(exp(x))`, the largest element taken off first."""
    axis = scope["axis"]
    if not x.shape[axis]:
        return x
    x = laid_out(x)
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@meaning("mo.reduce.logsoftmax")
def log_softmax(scope: Scope, x: Array) -> Array:
    """`log(softmax(x))`, without the rounding of the softmax."""
    axis = scope["axis"]
    if not x.shape[axis]:
        return x
    x = laid_out(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


@meaning("mo.reduce.layer_norm")
def layer_norm(scope: Scope, x: Array, gamma: Array, beta: Array, epsilon: Array) -> Array:
    """`(x - mean) / sqrt(variance + epsilon) gamma + beta` over the last axis."""
    return _standardised(laid_out(x), epsilon) * gamma + beta


@meaning("mo.reduce.group_norm")
def group_norm(
    scope: Scope, x: Array, gamma: Array, beta: Array, epsilon: Array, groups: Array
) -> Array:
    """The same over each group of channels, which are axis 1; gamma and beta by channel."""
    batch, channels = x.shape[:2]
    rows = laid_out(x).reshape(batch, int(groups), x[:1].size // int(groups))
    by_channel = (1, channels, *(1,) * (x.ndim - 2))
    normalised = _standardised(rows, epsilon).reshape(x.shape)
    return normalised * gamma.reshape(by_channel) + beta.reshape(by_channel)


def _standardised(x: Array, epsilon: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + epsilon.astype(x.dtype))


@meaning("mo.reduce.rms_norm")
def rms_norm(scope: Scope, x: Array, weight: Array) -> Array:
    """`x / sqrt(mean(x^2) + epsilon) (weight + offset)` over the last axis.

    The quotient is rounded to the result's dtype before it is multiplied, unless the operation says
    that it is not.
    """
    x = laid_out(x)
    epsilon, offset = (scope[name].astype(x.dtype) for name in ("epsilon", "weight_offset"))
    quotient = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + epsilon)
    if not scope["multiply_before_cast"]:
        quotient = quotient.astype(scope.dtype()).astype(x.dtype)
    return quotient * (weight + offset)
