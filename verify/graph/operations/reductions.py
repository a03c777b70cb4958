"""Operations along an axis: sums, extremes, softmax, normalisation. The axis stays, with size 1."""

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
    return laid_out(x).sum(axis=scope["axis"], keepdims=True)


@meaning("mo.reduce.softmax")
def softmax(scope: Scope, x: Array) -> Array:
    """`exp(x) / sum(exp(x))`, the largest element taken off first."""
    x = laid_out(x)
    exponentials = np.exp(x - x.max(axis=scope["axis"], keepdims=True))
    return exponentials / exponentials.sum(axis=scope["axis"], keepdims=True)


@meaning("mo.reduce.layer_norm")
def layer_norm(scope: Scope, x: Array, gamma: Array, beta: Array, epsilon: Array) -> Array:
    """`(x - mean) / sqrt(variance + epsilon) gamma + beta` over the last axis."""
    x = laid_out(x)
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + epsilon.astype(x.dtype)) * gamma + beta
