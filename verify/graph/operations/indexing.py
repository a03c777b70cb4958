"""Operations that pick, place and arrange elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope

BEYOND = 2**40
"""No axis is as long: larger bounds of a slice are cut to it, so that they fit any integer."""


def slices(start: Array, stop: Array, step: Array) -> tuple[slice, ...]:
    """NumPy's slices for MAX's: one start, stop and step for each axis."""
    bounds = [np.clip(one, -BEYOND, BEYOND).tolist() for one in (start, stop, step)]
    return tuple(slice(a, b, c) for a, b, c in zip(*bounds, strict=True))


@meaning("mo.slice")
def sliced(scope: Scope, x: Array, start: Array, stop: Array, stride: Array) -> Array:
    """`x[start:stop:stride]` along each axis, with NumPy's rules."""
    return x[slices(start, stop, stride)]


@meaning("mo.gather")
def gather(scope: Scope, x: Array, indices: Array) -> Array:
    """Slices of `x` along an axis; an index below zero counts from the end."""
    return np.take(x, indices, axis=scope["axis"])


@meaning("mo.range")
def numbers(scope: Scope, start: Array, limit: Array, stride: Array) -> Array:
    """`start`, `start + stride`, ... below `limit`."""
    return np.arange(start.item(), limit.item(), stride.item(), dtype=scope.dtype())


@meaning("mo.concat")
def concat(scope: Scope, *arrays: Array) -> Array:
    """One after another along an axis."""
    return np.concatenate(arrays, axis=scope["axis"])


@meaning("mo.linalg.band_part")
def band_part(scope: Scope, x: Array, lower: Array, upper: Array, exclude: Array) -> Array:
    """Zero outside of a band around the diagonal, or inside of it; a negative width has no end."""
    below = np.arange(x.shape[-2])[:, None] - np.arange(x.shape[-1])
    kept = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
    return np.where(kept ^ bool(exclude), x, np.zeros((), x.dtype))
