"""Arrays that a graph writes to. Their operations run in the order in which they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.operations.indexing import slices
from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


class Cell:
    """What a buffer holds at the moment. The array that it was made with is never written to.

    Args:
        array: what it holds at first.
    """

    __slots__ = ("array", "is_own")

    def __init__(self, array: Array) -> None:
        self.array = array
        self.is_own = False

    def load(self) -> Array:
        """What it holds; later writes do not change it."""
        self.is_own = False
        return self.array

    def store(self, array: Array) -> None:
        """Hold another array from now on, of the same shape and dtype."""
        self.array = np.broadcast_to(array.astype(self.array.dtype, copy=False), self.array.shape)
        self.is_own = False

    def writable(self) -> Array:
        """What it holds, to be written to."""
        if not self.is_own:
            self.array = self.array.copy()
            self.is_own = True
        return self.array


@meaning("mo.mutable.load")
def load(scope: Scope, cell: Cell, chain: Any) -> tuple[Array, None]:
    """The contents as a value."""
    return cell.load(), None


@meaning("mo.mutable.store")
def store(scope: Scope, cell: Cell, array: Array, chain: Any) -> None:
    """Other contents."""
    cell.store(array)


@meaning("mo.mutable.store.slice")
def store_slice(
    scope: Scope,
    cell: Cell,
    array: Array,
    start: Array,
    stop: Array,
    stride: Array,
    chain: Any,
) -> None:
    """Other contents in a part: `buffer[start:stop:stride] = array`."""
    cell.writable()[slices(start, stop, stride)] = array


@meaning("mo.buffer.transfer")
def transfer_buffer(scope: Scope, source: Cell, target: Cell, chain: Any) -> None:
    """The contents of one buffer into another."""
    target.store(source.load())


@meaning("mo.buffer.create")
def create(scope: Scope) -> Cell:
    """A buffer with a number everywhere, or with none yet: NaN, or zeros if it holds integers."""
    dtype = scope.dtype()
    value = scope.get("initValue")
    if value is None:
        value = np.zeros(()) if dtype.kind in "biu" else np.full((), np.nan)
    return Cell(np.full(scope.shape(), value.astype(dtype).reshape(())))
