"""The operations that compute one place in a candidate's graph, with every value on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from verify.candidate.narrowing import ROUNDED
from verify.graph.evaluate import evaluate
from verify.graph.form import is_floating, numpy_dtype, weight_name
from verify.graph.schedule import reads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reference.trace import Array
    from verify.candidate.model_graphs import Computing
    from verify.graph.form import Graph, Operation
    from verify.graph.scope import Precision

OF_SHAPES = ("mo.shape_of", "mosh.param.to_value", "mo.shape.to_tensor", "mo.broadcast_shape")
"""Operations whose results are sizes."""

SPREADS = ("mo.broadcast_to", "mo.static.broadcast_to", "mo.rebind.tensor.shape")
"""Operations that repeat a value, or declare its shape, and change no number."""

LAYOUTS = ("mo.transpose", "mo.static.reshape", "mo.reshape")
"""Operations that arrange numbers anew. Of a weight they are no step of their own."""

CASTS = ("mo.cast", "mo.rounding")
"""Operations after which a number may have fewer bits."""

CONSTANTS = ("mo.constant", "mo.constant.external")


@dataclass(frozen=True)
class Segment:
    """What computes a place.

    Attributes:
        operations: those that compute something, in their order, sizes left out.
        values: by number, of inputs, constants and results.
        data: numbers of what depends on the numbers that the stage is given.
        results: numbers of what the place is made of.
        names: of inputs and weights, by number.
        spread: by number of a repeated value, the number of what it repeats.
    """

    operations: tuple[Operation, ...]
    values: Mapping[int, Array]
    data: frozenset[int]
    results: tuple[int, ...]
    names: Mapping[int, str]
    spread: Mapping[int, int]

    def source(self, number: int) -> int:
        """What a value repeats; itself where it repeats nothing."""
        while number in self.spread:
            number = self.spread[number]
        return number


def segment(computing: Computing, precision: Precision = "float64") -> Segment:
    """The operations that compute a place, and what they compute.

    Args:
        computing: the graph, and what it takes.
        precision: to evaluate it in.

    Raises:
        verify.graph.errors.GraphError: where it cannot be evaluated.
    """
    graph, results = computing.graph, tuple(computing.results)
    slice_ = _slice(graph, results)
    cut = graph.with_operations(slice_, results)
    keep = [value.number for op in slice_ for value in op.results if value.sort == "tensor"]
    declared = zip(computing.inputs, graph.inputs, strict=True)
    inputs = [_as_declared(array, value.dtype, precision) for array, value in declared]
    evaluated = evaluate(cut, inputs, computing.weights, precision, keep=keep)
    values = {value.number: a for value, a in zip(graph.inputs, inputs, strict=True)}
    values |= evaluated.kept
    data = _data(slice_, computing, results)
    spread = dict(_spread(slice_, data))
    return Segment(
        operations=_as_written(op for op in slice_ if _computes(op, values, spread)),
        values=values,
        data=data,
        results=results,
        names=dict(computing.names) | _weights(slice_),
        spread=spread,
    )


def _as_declared(array: Array, declared: str, precision: Precision) -> Array:
    """An input in the dtype that it is declared with, where that is what is evaluated."""
    return array.astype(numpy_dtype(declared)) if precision == "declared" else array


def _slice(graph: Graph, results: tuple[int, ...]) -> list[Operation]:
    """The operations that the results need, in their order."""
    needed, kept = set(results), []
    for operation in reversed(graph.operations):
        if needed & {value.number for value in operation.results}:
            kept.append(operation)
            needed.update(reads(operation))
    return kept[::-1]


def _as_written(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """The operations with rounding where the graph has it: in the cast to fewer bits itself."""
    written: list[Operation] = []
    for operation in operations:
        if operation.attributes.get("symbol") == ROUNDED:
            made = next(one for one in reversed(written) if _makes(one, operation.operands[0]))
            if made.kind == "mo.cast":
                written.remove(made)
                operation = replace(made, results=operation.results)
            else:
                operation = replace(operation, kind="mo.rounding", place=made.place)
        written.append(operation)
    return tuple(written)


def _makes(operation: Operation, number: int) -> bool:
    return any(value.number == number for value in operation.results)


def _computes(operation: Operation, values: Mapping[int, Array], spread: Mapping[int, int]) -> bool:
    """Whether an operation is more than a constant, a size, or a value repeated."""
    if operation.kind in (*OF_SHAPES, *SPREADS, *CONSTANTS):
        return False
    if operation.results and operation.results[0].number in spread:
        return False
    return any(values[v.number].ndim > 0 for v in operation.results if v.number in values)


def _data(
    operations: list[Operation], computing: Computing, results: tuple[int, ...]
) -> frozenset[int]:
    """What depends on numbers that are given, rather than on shapes alone.

    Positions depend on a shape alone; where they are in question, all of their operations count.
    """
    known = set(computing.names)
    for operation in operations:
        if operation.kind not in OF_SHAPES and known & set(reads(operation)):
            known |= {value.number for value in operation.results}
    if not known & set(results):
        known |= {
            value.number for op in operations for value in op.results if op.kind not in CONSTANTS
        }
    return frozenset(known)


def _weights(operations: list[Operation]) -> dict[int, str]:
    return {
        op.results[0].number: weight_name(op, "")
        for op in operations
        if op.kind == "mo.constant.external"
    }


def _spread(operations: list[Operation], data: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Values that repeat others, or arrange what no input decides."""
    for operation in operations:
        result = operation.results[0].number if operation.results else -1
        arranged = operation.kind in LAYOUTS and result not in data
        if operation.kind in SPREADS or arranged:
            yield result, operation.operands[0]


def scalar(segment: Segment, number: int) -> float | None:
    """The number that a value is throughout, where it is one constant number."""
    source = segment.source(number)
    array = segment.values.get(source)
    if array is None or source in segment.data or array.size == 0:
        return None
    if not (is_floating(array.dtype.name) or array.dtype.kind in "iu"):
        return None
    first = array.flat[0]
    return float(first) if bool(np.all(array == first)) else None
