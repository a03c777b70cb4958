"""Operations on windows that slide over space: convolution and pooling. Channels come last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from verify.graph.errors import GraphError
from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.trace import Array
    from verify.graph.scope import Scope

FILTERS = {
    "RSCF": (0, 1, 2, 3),
    "FCRS": (2, 3, 1, 0),
    "QRSCF": (0, 1, 2, 3, 4),
    "FCQRS": (2, 3, 4, 1, 0),
}
"""By layout, the axes of a filter in the order space, channel, filter."""


def windows(
    x: Array, sizes: Sequence[int], strides: Array, dilations: Array, paddings: Array, fill: float
) -> Array:
    """Every window of `x`.

    Args:
        x: `[batch, *space, channel]`.
        sizes: of a window along each axis of space.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        paddings: before and after, for each axis of space.
        fill: what stands in the padding.

    Returns:
        A view `[batch, *places, channel, *window]`.
    """
    pairs = [(0, 0), *((int(a), int(b)) for a, b in paddings.reshape(-1, 2)), (0, 0)]
    padded = np.pad(x, pairs, constant_values=fill)
    axes = tuple(range(1, x.ndim - 1))
    reach = [(n - 1) * int(d) + 1 for n, d in zip(sizes, dilations, strict=True)]
    every = sliding_window_view(padded, reach, axis=axes)
    places = tuple(slice(None, None, int(s)) for s in strides)
    inside = tuple(slice(None, None, int(d)) for d in dilations)
    return every[(slice(None), *places, slice(None), *inside)]


@meaning("mo.conv")
def conv(
    scope: Scope,
    x: Array,
    kernel: Array,
    strides: Array,
    dilations: Array,
    paddings: Array,
    groups: Array,
) -> Array:
    """Sums of products of each window with each filter; groups of channels by themselves."""
    channels_first = scope.get("input_layout") == "NCHW"
    x = np.moveaxis(x, 1, -1) if channels_first else x
    kernel = kernel.transpose(_order(scope, kernel))  # [*window, channel of a group, filter]
    seen = windows(x, kernel.shape[:-2], strides, dilations, paddings, 0)
    inputs = np.split(seen, int(groups), axis=x.ndim - 1)
    filters = np.split(kernel, int(groups), axis=-1)
    inside = list(range(x.ndim - 1, seen.ndim))
    over = [len(inside) - 1, *range(len(inside) - 1)]
    made = [np.tensordot(i, f, (inside, over)) for i, f in zip(inputs, filters, strict=True)]
    result = np.concatenate(made, axis=-1)
    return np.moveaxis(result, -1, 1) if channels_first else result


def _order(scope: Scope, kernel: Array) -> tuple[int, ...]:
    layout = scope.get("filter_layout") or scope.get("layouts", ("", ""))[1]
    layout = layout or ("FCRS" if kernel.ndim == 4 else "FCQRS")
    if layout not in FILTERS:
        raise GraphError(f"a filter's layout {layout} is not known")
    return FILTERS[layout]


@meaning("mo.max_pool", "mo.max_pool_ceil_mode_true")
def max_pool(
    scope: Scope, x: Array, sizes: Array, strides: Array, dilations: Array, paddings: Array
) -> Array:
    """The largest of each window; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else float(np.iinfo(x.dtype).min)
    paddings = _up_to_the_end(scope, x, sizes, strides, dilations, paddings)
    seen = windows(x, sizes.tolist(), strides, dilations, paddings, lowest)
    return seen.max(axis=tuple(range(x.ndim, seen.ndim)))


@meaning("mo.avg_pool", "mo.avg_pool_ceil_mode_true")
def avg_pool(
    scope: Scope, x: Array, sizes: Array, strides: Array, dilations: Array, paddings: Array
) -> Array:
    """The mean of each window, with or without the padding that it covers."""
    longer = _up_to_the_end(scope, x, sizes, strides, dilations, paddings)
    seen = windows(x, sizes.tolist(), strides, dilations, longer, 0)
    inside = tuple(range(x.ndim, seen.ndim))
    counted = np.ones((1, *x.shape[1:-1], 1), x.dtype)
    if scope["count_boundary"]:
        pairs = [(0, 0), *((int(a), int(b)) for a, b in paddings.reshape(-1, 2)), (0, 0)]
        counted = np.pad(counted, pairs, constant_values=1)
        longer = longer - paddings
    counts = windows(counted, sizes.tolist(), strides, dilations, longer, 0)
    return seen.sum(axis=inside) / counts.sum(axis=inside)


def _up_to_the_end(
    scope: Scope, x: Array, sizes: Array, strides: Array, dilations: Array, paddings: Array
) -> Array:
    """Paddings with as much after the end as the last window needs, if the graph rounds up."""
    if not scope.operation.kind.endswith("_ceil_mode_true"):
        return paddings
    longer = paddings.copy()
    for axis, places in enumerate(scope.shape()[1:-1]):
        reach = (sizes[axis] - 1) * dilations[axis] + 1 + (places - 1) * strides[axis]
        there = x.shape[axis + 1] + paddings[2 * axis] + paddings[2 * axis + 1]
        longer[2 * axis + 1] += max(0, reach - there)
    return longer
