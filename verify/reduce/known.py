"""What is known of a graph's values without an input: numbers and sizes that stand in it.

Shapes, bounds of slices, orders of axes are values of a graph like any other. A text has them as
numbers and sizes, in place of the operations that make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.form import Compound, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verify.graph.form import Graph, Operation, Value

Known = Any
"""An array, a size, or a tuple of sizes."""

PASSED_ON = frozenset(
    {
        "mo.shape.to_tensor",
        "mo.shape.from_tensor",
        "mo.index.to_tensor",
        "mo.static.reshape",
        "mo.reshape",
        "mo.rebind",
        "mo.cast",
    }
)
"""Kinds whose result has the numbers of their first operand."""


def known_values(graph: Graph) -> dict[int, Known]:
    """What is known, by the numbers of values; weights and large constants are not."""
    values = {value.number: value for value in graph.inputs}
    known: dict[int, Known] = {}
    for operation in graph.operations:
        found = _known(operation, known, values)
        values.update((value.number, value) for value in operation.results)
        if found is not None:
            known[operation.results[0].number] = found
    return known


def _known(
    operation: Operation, known: Mapping[int, Known], values: Mapping[int, Value]
) -> Known | None:
    """What the operation's result is known to be."""
    if operation.kind == "mo.constant":
        attributes = operation.attributes
        return attributes.get("exact", {}).get("value", attributes["value"])
    if operation.kind == "mosh.param.to_value":
        return operation.attributes["value"]
    if operation.kind == "mo.shape_of":
        return values[operation.operands[0]].shape
    if operation.kind in PASSED_ON:
        found = known.get(operation.operands[0])
        return found if _is_sizes(found) or _is_small(found) else None
    if operation.kind == "mo.concat" and all(n in known for n in operation.operands):
        return tuple(size for n in operation.operands for size in sizes_in(known[n]))
    return None


def _is_sizes(found: Known) -> bool:
    return isinstance(found, int | str | tuple | Compound)


def _is_small(found: Known) -> bool:
    """Whether it is an array that fits a line, whose shape nobody needs."""
    return isinstance(found, np.ndarray) and found.ndim <= 1 and found.dtype.kind in "biu"


def sizes_in(known: Known) -> list[Size]:
    """Sizes, or whole numbers, as a list."""
    if isinstance(known, tuple):
        return list(known)
    if isinstance(known, np.ndarray):
        return np.atleast_1d(known).tolist()
    return [known]


def symbols_in(size: Size) -> set[str]:
    """The symbols of a size."""
    if isinstance(size, str):
        return {size}
    if isinstance(size, Compound):
        return {symbol for one in size.operands for symbol in symbols_in(one)}
    return set()
