"""What mutants compute that MAX has no operation for, as custom operations of the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.graph.operations.registry import custom

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope

ROLLED = "mutant.rolled"
"""Elements moved `step` places along `axis`, the last ones to the front."""

BACKWARDS = "mutant.backwards"
"""Elements along `axis` in reverse order."""

FIRST_LAST = "mutant.first_last"
"""The first and the last slice along `axis` exchanged."""

TILED = "mutant.tiled"
"""`repeat_interleave` that repeats all rows in turn, not each."""

EACH_REPEATED = "mutant.each_repeated"
"""`mo.tile` that repeats each row, not all in turn."""

LAYER_NORM = "mutant.layer_norm"
"""A layer norm one `part` of which is wrong."""

RMS_NORM = "mutant.rms_norm"
"""A root mean square norm one `part` of which is wrong."""


@custom(ROLLED)
def rolled(scope: Scope, x: Array) -> Array:
    """Every element `step` places further along an axis."""
    return np.roll(x, scope["step"], axis=scope["axis"])


@custom(FIRST_LAST)
def first_last(scope: Scope, x: Array) -> Array:
    """The first slice along an axis in the place of the last, and the reverse."""
    result = np.moveaxis(x.copy(), scope["axis"], 0)
    result[[0, -1]] = result[[-1, 0]]
    return np.moveaxis(result, 0, scope["axis"])


@custom(BACKWARDS)
def backwards(scope: Scope, x: Array) -> Array:
    """The last element along an axis first."""
    return np.flip(x, scope["axis"])


@custom(TILED)
def tiled(scope: Scope, x: Array, repeats: Array, axis: Array) -> Array:
    """All rows along an axis in turn, as often as each would have been repeated."""
    times = [1] * x.ndim
    times[int(axis)] = int(repeats.ravel()[0])
    return np.tile(x, times)


@custom(EACH_REPEATED)
def each_repeated(scope: Scope, x: Array, repeats: Array) -> Array:
    """Each row along an axis several times before the next one."""
    for axis, count in enumerate(repeats.tolist()):
        x = np.repeat(x, count, axis=axis)
    return x


@custom(LAYER_NORM)
def layer_norm(scope: Scope, x: Array, gamma: Array, beta: Array, epsilon: Array) -> Array:
    """`(x - mean) / sqrt(variance + epsilon) gamma + beta`, one part of which is wrong."""
    part = scope["part"]
    centred = x - x.mean(axis=-1, keepdims=True)
    squares = np.square(x if part == "mean" else centred)
    count = x.shape[-1] - (part == "unbiased")
    variance = squares.sum(axis=-1, keepdims=True) / count
    scale = np.sqrt(variance) + epsilon if part == "outside" else np.sqrt(variance + epsilon)
    result = (x if part == "mean" else centred) / scale
    result = result if part == "gamma" else result * gamma
    return result if part == "beta" else result + beta


@custom(RMS_NORM)
def rms_norm(scope: Scope, x: Array, weight: Array) -> Array:
    """`x / sqrt(mean(x^2) + epsilon) (weight + offset)`, one part of which is wrong."""
    part = scope["part"]
    epsilon, offset = (scope[name].astype(x.dtype) for name in ("epsilon", "weight_offset"))
    x = x - x.mean(axis=-1, keepdims=True) if part == "centred" else x
    squares = np.square(x).mean(axis=-1, keepdims=True)
    scale = np.sqrt(squares) + epsilon if part == "outside" else np.sqrt(squares + epsilon)
    return x / scale if part == "weight" else x / scale * (weight + offset)
