"""A set of weights, widened to float64 once and shared by every graph that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verify.graph.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

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
        key = (array.ctypes.data, array.shape, array.strides, array.dtype.name, dtype.name)
        if key not in self._made:
            self._made[key] = array.astype(dtype)
            self._made[key].flags.writeable = False
        return self._made[key]

    def size_of(self, dtype: np.dtype[Any]) -> int:
        """Bytes that copies in another dtype take, if every floating-point weight has one."""
        distinct = {
            (array.ctypes.data, array.shape): array.size
            for array in self.arrays.values()
            if array.dtype != dtype and array.dtype.kind not in "biu"
        }
        return sum(distinct.values()) * dtype.itemsize
