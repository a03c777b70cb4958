"""Operations that pick, place and arrange elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.errors import GraphError
from verify.graph.operations.registry import custom, meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array
    from verify.graph.scope import Scope

BEYOND = 2**40
"""No axis is as long: larger bounds of a slice are cut to it, so that they fit any integer."""


def slices(start: Array, stop: Array, step: Array) -> tuple[slice, ...]:
    """NumPy's slices for MAX's: one start, stop and step for each axis."""
    bounds = [
        np.clip(one.astype(np.int64), -BEYOND, BEYOND).tolist() for one in (start, stop, step)
    ]
    return tuple(slice(a, b, c) for a, b, c in zip(*bounds, strict=True))


@meaning("mo.slice")
def sliced(scope: Scope, x: Array, start: Array, stop: Array, stride: Array) -> Array:
    """`x[start:stop:stride]` along each axis, with NumPy's rules."""
    return x[slices(start, stop, stride)]


@meaning("mo.split")
def split(scope: Scope, x: Array, sizes: Array) -> tuple[Array, ...]:
    """Pieces of these sizes along an axis."""
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=scope["axis"]))


@meaning("mo.concat")
def concat(scope: Scope, *arrays: Array) -> Array:
    """One after another along an axis."""
    return np.concatenate(arrays, axis=scope["axis"])


@meaning("mo.tile")
def tile(scope: Scope, x: Array, repeats: Array) -> Array:
    """The whole array so many times along each axis."""
    return np.tile(x, repeats.tolist())


@custom("repeat_interleave")
def repeat(scope: Scope, x: Array, repeats: Array, axis: Array) -> Array:
    """Each slice along an axis so many times."""
    count = repeats if repeats.size > 1 else int(repeats.item())
    return np.repeat(x, count, axis=int(axis))


@meaning("mo.range")
def numbers(scope: Scope, start: Array, limit: Array, stride: Array) -> Array:
    """`start`, `start + stride`, ... before `limit`."""
    first, last, step = start.item(), limit.item(), stride.item()
    count = max(0, int(np.ceil((last - first) / step)))
    return (first + step * np.arange(count)).astype(scope.dtype())


# ---- picking ------------------------------------------------------------------------------------


@meaning("mo.gather")
def gather(scope: Scope, x: Array, indices: Array) -> Array:
    """Slices of `x` along an axis; an index below zero counts from the end."""
    return np.take(x, indices, axis=scope["axis"])


@meaning("mo.gather_sum")
def gather_sum(scope: Scope, x: Array, indices: Array) -> Array:
    """Sums of slices along the first axis, over the second axis of the indices."""
    return np.take(x, indices, axis=0).sum(axis=1)


@meaning("mo.gather_nd")
def gather_nd(scope: Scope, x: Array, indices: Array) -> Array:
    """Slices at index vectors, which lie along the last axis; the first axes may be batches.

    Raises:
        GraphError: for an index below zero, where MAX reads outside of the tensor.
    """
    if (indices < 0).any():
        raise GraphError("mo.gather_nd is given an index below zero, which MAX does not count back")
    batches = scope["batchDims"]
    grid: tuple[Array, ...] = np.indices(indices.shape[:batches], sparse=True)
    spread = [g.reshape(*g.shape, *(1,) * (indices.ndim - 1 - batches)) for g in grid]
    return x[(*spread, *np.moveaxis(indices, -1, 0))]


@meaning("mo.arg_nonzero")
def places_of_nonzero(scope: Scope, x: Array) -> Array:
    """Coordinates of what is not zero, one row each, in the order of memory."""
    return np.argwhere(x)


@meaning("mo.top_k")
def top_k(scope: Scope, x: Array, k: Array, axis: Array, ordered: Array) -> tuple[Array, Array]:
    """The k largest along an axis, the largest first, with their places; equal ones in order."""
    along = int(axis)
    backwards = np.argsort(np.flip(x, along), axis=along, kind="stable")
    order = x.shape[along] - 1 - np.flip(backwards, along)
    return _first(x, order, int(k), along)


@meaning("mo.bottom_k")
def bottom_k(scope: Scope, x: Array, k: Array, axis: Array, ordered: Array) -> tuple[Array, Array]:
    """The k smallest along an axis, the smallest first, with their places; equal ones in order."""
    return _first(x, np.argsort(x, axis=int(axis), kind="stable"), int(k), int(axis))


def _first(x: Array, order: Array, k: int, axis: int) -> tuple[Array, Array]:
    places = np.take(order, range(k), axis=axis)
    return np.take_along_axis(x, places, axis=axis), places


@custom("mx.argsort")
def argsort(scope: Scope, x: Array) -> Array:
    """Places in sorted order; equal ones in order."""
    if scope["parameters"]["ascending"]:
        return np.argsort(x, kind="stable")
    return x.shape[0] - 1 - np.argsort(x[::-1], kind="stable")[::-1]


# ---- placing ------------------------------------------------------------------------------------


def _put(array: Array, at: tuple[Any, ...], updates: Array) -> None:
    array[at] = updates


COMBINING: dict[str, Callable[[Array, tuple[Any, ...], Array], None]] = {
    "": _put,
    ".add": np.add.at,
    ".mul": np.multiply.at,
    ".max": np.maximum.at,
    ".min": np.minimum.at,
}
"""By the end of an operation's name, how an update meets what is there."""


@meaning(*(f"mo.scatter{end}" for end in COMBINING))
def scatter(scope: Scope, x: Array, updates: Array, indices: Array, *axis: Array) -> Array:
    """A copy with updates; each index replaces the coordinate of its own place along an axis."""
    along = int(axis[0]) if axis else scope["axis"]
    at: list[Array] = list(np.indices(indices.shape, sparse=True))
    at[along] = indices
    return _combined(scope, "mo.scatter", x, tuple(at), updates)


@meaning(*(f"mo.scatter_nd{end}" for end in COMBINING))
def scatter_nd(scope: Scope, x: Array, updates: Array, indices: Array) -> Array:
    """A copy with updates at index vectors, which lie along the last axis of the indices."""
    return _combined(scope, "mo.scatter_nd", x, tuple(np.moveaxis(indices, -1, 0)), updates)


def _combined(scope: Scope, name: str, x: Array, at: tuple[Any, ...], updates: Array) -> Array:
    copy = x.copy()
    COMBINING[scope.operation.kind.removeprefix(name)](copy, at, updates)
    return copy


# ---- around the edge, and around the diagonal ---------------------------------------------------


def _pairs(paddings: Array) -> list[tuple[int, int]]:
    """Before and after, for each axis."""
    return [(int(before), int(after)) for before, after in paddings.reshape(-1, 2)]


@meaning("mo.pad.constant")
def pad(scope: Scope, x: Array, paddings: Array, value: Array) -> Array:
    """A number around the array."""
    return np.pad(x, _pairs(paddings), constant_values=value.item())


@meaning("mo.pad.reflect")
def pad_reflect(scope: Scope, x: Array, paddings: Array) -> Array:
    """The array mirrored at its edges, which are not repeated."""
    return np.pad(x, _pairs(paddings), mode="reflect")


@meaning("mo.pad.repeat")
def pad_edge(scope: Scope, x: Array, paddings: Array) -> Array:
    """The edges repeated."""
    return np.pad(x, _pairs(paddings), mode="edge")


@meaning("mo.linalg.band_part")
def band_part(scope: Scope, x: Array, lower: Array, upper: Array, exclude: Array) -> Array:
    """Zero outside of a band around the diagonal, or inside of it; a negative width has no end."""
    below = np.arange(x.shape[-2])[:, None] - np.arange(x.shape[-1])
    kept = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
    return np.where(kept ^ bool(exclude), x, np.zeros((), x.dtype))
