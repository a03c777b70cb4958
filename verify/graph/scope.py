"""What an operation's meaning may ask for: its attributes, declared shapes and dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from verify.graph.form import Block, Operation, Size, is_floating, numpy_dtype, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verify.graph.weights import Weights

Precision = Literal["float64", "declared"]
"""`float64`: every floating-point number in float64, whatever the graph declares, and constants as
they were before they were rounded. `declared`: every value in the dtype that the graph declares."""


def working_dtype(declared: str, precision: Precision) -> np.dtype[Any]:
    """What a value of a declared dtype is held in."""
    if precision == "float64" and is_floating(declared):
        return np.dtype(np.float64)
    return numpy_dtype(declared)


class Scope:
    """One operation in one evaluation.

    Args:
        operation: it.
        sizes: what each symbol is, as far as is known.
        precision: what it is computed in.
        weights: all of them.
        prefix: of the names of placeholders.
        run: computes a block of the operation on arrays.
        call: computes a callee, by name and prefix, on arrays.
    """

    __slots__ = ("call", "operation", "precision", "prefix", "run", "sizes", "weights")

    def __init__(
        self,
        operation: Operation,
        sizes: dict[str, int],
        precision: Precision,
        weights: Weights,
        prefix: str,
        run: Callable[[Block, Sequence[Any]], list[Any]],
        call: Callable[[str, str, Sequence[Any]], list[Any]],
    ) -> None:
        self.operation = operation
        self.sizes = sizes
        self.precision = precision
        self.weights = weights
        self.prefix = prefix
        self.run = run
        self.call = call

    def __getitem__(self, attribute: str) -> Any:
        """An attribute, in float64 as it was before it was rounded."""
        exact = self.operation.attributes.get("exact", {})
        if self.precision == "float64" and attribute in exact:
            return exact[attribute]
        return self.operation.attributes[attribute]

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute, or the default where the operation has none of that name."""
        return self[attribute] if attribute in self.operation.attributes else default

    def dtype(self, result: int = 0) -> np.dtype[Any]:
        """What a result is held in."""
        return working_dtype(self.operation.results[result].dtype, self.precision)

    def shape(self, result: int = 0) -> tuple[int, ...]:
        """The shape that the graph declares of a result."""
        return tuple(self.resolved(size) for size in self.operation.results[result].shape or ())

    def resolved(self, size: Size) -> int:
        """The number that a size is in this evaluation."""
        return resolved(size, self.sizes)
