"""A graph with one output, and the arrays that it is run on: what is compiled, judged and cut."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from verify.graph.errors import UnresolvedSizeError
from verify.graph.evaluate import evaluate
from verify.graph.form import Compound, Graph, Operation, Size, Value, numpy_dtype, resolved
from verify.graph.schedule import scheduled
from verify.reduce.known import symbols_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reference.trace import Array


@dataclass(frozen=True, slots=True, eq=False)
class Specimen:
    """A graph with what it is run on.

    Attributes:
        graph: with one output.
        arrays: one for each of its inputs, in the declared dtypes.
        weights: by name.
        libraries: paths of the Mojo kernels that its custom operations need.
    """

    graph: Graph
    arrays: tuple[Array, ...]
    weights: Mapping[str, Array] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """What the arrays make of the symbols in the inputs' shapes."""
        sizes: dict[str, int] = {}
        for value, array in zip(self.graph.inputs, self.arrays, strict=True):
            for size, number in zip(value.shape or (), array.shape, strict=True):
                if isinstance(size, str):
                    sizes.setdefault(size, number)
        return sizes

    @property
    def output(self) -> Value:
        """What the graph declares of its output."""
        return defined(self.graph)[self.graph.outputs[0]]

    def right(self) -> Array:
        """What the graph means, in float64.

        Raises:
            verify.graph.errors.GraphError: if it cannot be evaluated.
        """
        return evaluate(self.graph, self.arrays, self.weights).outputs[0]

    def values(self, numbers: Collection[int]) -> dict[int, Array]:
        """What the graph means at some of its values, rounded to their declared dtypes."""
        declared = defined(self.graph)
        kept = evaluate(self.graph, self.arrays, self.weights, keep=numbers).kept
        return {n: kept[n].astype(numpy_dtype(declared[n].dtype)) for n in numbers}


def defined(graph: Graph) -> dict[int, Value]:
    """Every outermost value of a graph, by its number."""
    made = (value for operation in graph.operations for value in operation.results)
    return {value.number: value for value in (*graph.inputs, *made)}


def renamed(operations: Iterable[Operation], names: Mapping[int, int]) -> list[Operation]:
    """Operations that take other values: by number, another number."""
    return [
        replace(one, operands=tuple(names.get(n, n) for n in one.operands))
        if any(n in names for n in one.operands)
        else one
        for one in operations
    ]


def pruned(specimen: Specimen) -> Specimen:
    """Without operations and inputs that do not reach the output.

    A symbol that no input gives any more becomes the number that it was.
    """
    graph = specimen.graph
    live = scheduled(graph, graph.block).operations
    read = {*graph.outputs, *(n for operation in live for n in operation.operands)}
    pairs = [
        (value, array)
        for value, array in zip(graph.inputs, specimen.arrays, strict=True)
        if value.number in read
    ]
    block = replace(graph.block, inputs=tuple(v for v, _ in pairs), operations=tuple(live))
    cut = replace(specimen, graph=replace(graph, block=block), arrays=tuple(a for _, a in pairs))
    given = {size for value, _ in pairs for size in value.shape or () if isinstance(size, str)}
    lost = {name: number for name, number in specimen.sizes.items() if name not in given}
    return bound(cut, lost) if lost else cut


def bound(specimen: Specimen, numbers: Mapping[str, int]) -> Specimen:
    """The same with numbers in place of some symbols."""

    def change(size: Size) -> Size:
        return _bound_size(size, numbers)

    return replace(specimen, graph=resized(specimen.graph, change))


def _bound_size(size: Size, numbers: Mapping[str, int]) -> Size:
    if isinstance(size, str):
        return numbers.get(size, size)
    if isinstance(size, Compound) and symbols_in(size) & numbers.keys():
        changed = Compound(size.operator, tuple(_bound_size(one, numbers) for one in size.operands))
        try:
            return resolved(changed, {})
        except UnresolvedSizeError:
            return changed
    return size


def resized(graph: Graph, change: Callable[[Size], Size]) -> Graph:
    """A graph with other sizes wherever sizes stand in it.

    Args:
        graph: it; numbers in constants stay.
        change: gives for each size another one.
    """
    inputs = tuple(_resized_value(value, change) for value in graph.inputs)
    operations = tuple(
        replace(
            one,
            results=tuple(_resized_value(value, change) for value in one.results),
            attributes=_resized_attributes(one, change),
        )
        for one in graph.operations
    )
    return replace(graph, block=replace(graph.block, inputs=inputs, operations=operations))


def _resized_value(value: Value, change: Callable[[Size], Size]) -> Value:
    if value.shape is None or value.sort not in ("tensor", "buffer"):
        return value
    return replace(value, shape=tuple(map(change, value.shape)))


def _resized_attributes(operation: Operation, change: Callable[[Size], Size]) -> Mapping[str, Any]:
    if operation.kind != "mosh.param.to_value":
        return operation.attributes
    sizes = operation.attributes["value"]
    changed = tuple(map(change, sizes)) if isinstance(sizes, tuple) else change(sizes)
    return {**operation.attributes, "value": changed}
