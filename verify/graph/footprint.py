"""How much memory an evaluation will take, told before it begins.

Counted are the results of operations for as long as somebody will read them, what the largest
operation needs while it works, and the weights that have to be widened. Views count nothing. A size
that only an operation decides (the number of nonzero elements) cannot be told, and counts as one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from verify.graph.errors import TooLargeError, UnresolvedSizeError
from verify.graph.form import resolved, weight_names
from verify.graph.schedule import scheduled
from verify.graph.scope import working_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from verify.graph.form import Block, Graph, Operation, Size, Value
    from verify.graph.scope import Precision
    from verify.graph.weights import Weights

VIEWS = (
    "mo.broadcast_to",
    "mo.rebind",
    "mo.slice",
    "mo.split",
    "mo.static.broadcast_to",
    "mo.transfer",
    "mo.transpose",
    "mo.mutable.load",
    "mo.constant.external",
)
"""Kinds whose results lie in the memory of their operands."""

RESHAPES = ("mo.reshape", "mo.static.reshape")
"""They may have to copy, but for those that only add or leave out axes of size 1."""

AT_WORK = 3
"""How many arrays of the size of its result an operation holds while it works, the result
included: an activation or a softmax has so many terms at once."""


Shapes = tuple[tuple[int, ...], ...]


@lru_cache(maxsize=256)
def footprint(
    graph: Graph,
    shapes: Shapes,
    precision: Precision = "float64",
    keep: frozenset[int] = frozenset(),
) -> int:
    """Bytes that an evaluation will hold at its highest, inputs and weights left out.

    Args:
        graph: what is evaluated.
        shapes: of what it is evaluated on.
        precision: what it is computed in.
        keep: numbers of values that are kept to the end.
    """
    sizes = _symbols(graph.inputs, shapes)
    return _Counter(graph, precision).block(graph.block, sizes, keep)


def check_footprint(
    graph: Graph,
    shapes: Shapes,
    weights: Weights,
    precision: Precision,
    keep: frozenset[int],
    limit: int,
) -> None:
    """Compare what an evaluation will need with what it may take.

    Raises:
        TooLargeError: where it is more.
    """
    needed = footprint(graph, shapes, precision, keep)
    if precision == "float64":
        needed += weights.unmade(weight_names(graph))
    if needed > limit:
        raise TooLargeError(
            f"evaluating {graph.name} takes {needed / 1e9:.1f} GB, and {limit / 1e9:.1f} GB may be "
            "taken: choose fewer tokens, or a smaller model"
        )


def _symbols(values: Sequence[Value], shapes: Shapes) -> Mapping[str, int]:
    return {
        size: number
        for value, shape in zip(values, shapes, strict=True)
        for size, number in zip(value.shape or (), shape, strict=False)
        if isinstance(size, str)
    }


class _Counter:
    """Counts bytes over the blocks of a graph."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        self.graph = graph
        self.precision = precision
        self.values = graph.values()

    def block(
        self, block: Block, sizes: Mapping[str, int], keep: frozenset[int] = frozenset()
    ) -> int:
        schedule = scheduled(self.graph, block, keep)
        held: dict[int, int] = {}
        highest = 0
        for operation, ended in zip(schedule.operations, schedule.last_read, strict=True):
            if not self.is_view(operation):
                made = {value.number: self.bytes(value, sizes) for value in operation.results}
                at_work = AT_WORK * max(made.values(), default=0) + self.inside(operation, sizes)
                highest = max(highest, sum(held.values()) + at_work)
                held |= made
            for number in ended:
                held.pop(number, None)
        return max(highest, sum(held.values()))

    def is_view(self, operation: Operation) -> bool:
        """Whether an operation's results lie in the memory of its operands."""
        if operation.kind not in RESHAPES:
            return operation.kind in VIEWS
        operand = self.values.get(operation.operands[0])
        return operand is not None and _axes(operand) == _axes(operation.results[0])

    def inside(self, operation: Operation, sizes: Mapping[str, int]) -> int:
        """What the blocks of an operation, or what it calls, hold at their highest."""
        blocks = list(operation.blocks)
        if operation.kind == "mo.call":
            blocks.append(self.graph.callees[operation.attributes["callee"]])
        return max((self.block(one, sizes) for one in blocks), default=0)

    def bytes(self, value: Value, sizes: Mapping[str, int]) -> int:
        if value.sort not in ("tensor", "buffer") or value.shape is None:
            return 0
        width = working_dtype(value.dtype, self.precision).itemsize
        return math.prod(_number(size, sizes) for size in value.shape) * width


def _axes(value: Value) -> list[Size]:
    """The sizes of a value's axes, those of size 1 left out."""
    return [size for size in value.shape or () if size != 1]


def _number(size: Size, sizes: Mapping[str, int]) -> int:
    try:
        return resolved(size, sizes)
    except UnresolvedSizeError:
        return 1
