"""A set of weights, widened to float64 once and shared by every graph that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.errors import GraphError
from verify.graph.form import is_floating

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from reference.trace import Array


class Weights:
    """Arrays by name. Each is widened when it is first read, tied ones once together.

    Args:
        arrays: must not change while this lives. Views are welcome: nothing has to be contiguous.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = dict(arrays)
        self._made: dict[tuple[Any, ...], Array] = {}

    def get(self, name: str, dtype: np.dtype[Any]) -> Array:
        """A weight in a dtype; its own memory where that is what it has.

        Raises:
            GraphError: if there is none of that name.
        """
        if name not in self.arrays:
            raise GraphError(f"the graph reads a weight {name}, which is not given")
        array = self.arrays[name]
        if array.dtype == dtype:
            return array
        key = _memory_of(array, dtype)
        if key not in self._made:
            self._made[key] = array.astype(dtype)
            self._made[key].flags.writeable = False
        return self._made[key]

    def unmade(self, names: Iterable[str], dtype: npt.DTypeLike = np.float64) -> int:
        """Bytes that widening these weights will take, apart from those that are widened already.

        Args:
            names: of the weights; those that are not given count nothing.
            dtype: what they are widened to.
        """
        held = np.dtype(dtype)
        arrays = [self.arrays[name] for name in names if name in self.arrays]
        missing = {
            key: array.size
            for array in arrays
            if is_floating(array.dtype.name) and array.dtype != held
            if (key := _memory_of(array, held)) not in self._made
        }
        return sum(missing.values()) * held.itemsize


def _memory_of(array: Array, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Where an array lies, and what it becomes: the same for tied weights."""
    return (array.ctypes.data, array.shape, array.strides, array.dtype.name, dtype.name)
