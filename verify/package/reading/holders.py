"""Which operations of a graph compute with a number, named by the weights that they take."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from verify.graph.form import walk, weight_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.graph.form import Graph, Operation

ROUNDED = 1e-6
"""A number that a graph holds as float32 differs relatively by less."""


def holders(graph: Graph, number: float) -> list[str]:
    """Weights of the operations that have a number among their attributes, such as an epsilon.

    Args:
        graph: the graph.
        number: what is looked for.

    Returns:
        Their names without repetition, `*` for the number of a layer; empty where it is in none.
    """
    weights: dict[int, str] = {}
    found: dict[str, None] = {}
    for operation in walk(graph.block):
        if operation.kind == "mo.constant.external":
            weights[operation.results[0].number] = weight_name(operation, "")
        elif operation.kind != "mo.constant" and _holds(operation, number):
            names = [weights[one] for one in operation.operands if one in weights]
            found |= {re.sub(r"\.\d+\.", ".*.", name): None for name in names}
    return list(found)


def _holds(operation: Operation, number: float) -> bool:
    return any(
        math.isclose(one, number, rel_tol=ROUNDED) for one in _numbers(dict(operation.attributes))
    )


def _numbers(value: Any) -> Iterator[float]:
    """The floating-point scalars of an operation's attributes."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, float) or (
        getattr(value, "ndim", None) == 0 and value.dtype.kind == "f"
    ):
        yield float(value)
