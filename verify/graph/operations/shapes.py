"""Operations that compute shapes, or give an array another one: no number changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


@meaning("mosh.param.to_value")
def sizes(scope: Scope) -> Array:
    """Sizes, or one size, as they stand in the graph."""
    value = scope["value"]
    if isinstance(value, tuple):
        return np.array([scope.resolved(size) for size in value], np.int64)
    return np.array(scope.resolved(value), np.int64)


@meaning("mo.shape.to_tensor", "mo.shape.from_tensor", "mo.index.to_tensor")
def as_it_is(scope: Scope, x: Array) -> Array:
    """The same numbers under another type."""
    return x


@meaning("mo.rebind")
def rebind(scope: Scope, x: Array) -> Array:
    """The same array, whose shape is now declared otherwise: the evaluation checks that it fits."""
    return x


@meaning("mo.shape_of")
def shape_of(scope: Scope, x: Array) -> Array:
    """The shape as a list of integers."""
    return np.array(x.shape, scope.dtype())


@meaning("mo.broadcast_shape")
def broadcast_shape(scope: Scope, a: Array, b: Array) -> Array:
    """The shape that two shapes are broadcast to."""
    shape = np.broadcast_shapes(tuple(a.tolist()), tuple(b.tolist()))
    return np.array(shape, scope.dtype())


@meaning("mo.broadcast_to")
def broadcast_to(scope: Scope, x: Array, shape: Array) -> Array:
    """Repeats along new axes and those of size 1."""
    return np.broadcast_to(x, shape.tolist())


@meaning("mo.static.broadcast_to")
def static_broadcast_to(scope: Scope, x: Array) -> Array:
    """The same, to the shape that the graph declares."""
    return np.broadcast_to(x, scope.shape())


@meaning("mo.reshape")
def reshape(scope: Scope, x: Array, shape: Array) -> Array:
    """The same elements in order under another shape, one size of which may be -1."""
    return x.reshape(shape.tolist())


@meaning("mo.static.reshape")
def static_reshape(scope: Scope, x: Array) -> Array:
    """The same, to the shape that the graph declares."""
    return x.reshape(scope.shape())


@meaning("mo.transpose")
def transpose(scope: Scope, x: Array, order: Array) -> Array:
    """Axes in another order."""
    return x.transpose(order.tolist())


@meaning("mo.squeeze_shape")
def squeeze_shape(scope: Scope, shape: Array, axes: Array) -> Array:
    """A shape without these axes, each of which has size 1."""
    return np.delete(shape, axes % shape.size)


@meaning("mo.unsqueeze_shape")
def unsqueeze_shape(scope: Scope, shape: Array, axes: Array) -> Array:
    """A shape with axes of size 1 at these places of the result."""
    rank = shape.size + axes.size
    places = np.setdiff1d(np.arange(rank), axes % rank)
    result = np.ones(rank, shape.dtype)
    result[places] = shape
    return result
