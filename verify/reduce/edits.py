"""Edits that make a specimen smaller.

Each returns another specimen. Whether it still fails is for `verify.reduce.search` to find out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from verify.graph.errors import GraphError
from verify.graph.form import Compound, Operation, Size, Value
from verify.reduce.language import PHRASES, tensor_operands
from verify.reduce.source import needed
from verify.reduce.specimen import Specimen, defined, pruned, renamed
from verify.reduce.words import UnwritableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from reference.trace import Array

MOST_NUMBERS = 64
"""Numbers of a constant that a text writes out."""

REPEATS = ("mo.broadcast_to", "mo.static.broadcast_to")
PRODUCTS = ("mo.matmul", "mo.batch_matmul")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that may leave a specimen as wrong as it was.

    Attributes:
        about: what is changed; of edits about the same one is enough.
        make: makes another specimen.
    """

    about: str
    make: Callable[[Specimen], Specimen]


def applied(specimen: Specimen, edits: Iterable[Edit]) -> Specimen | None:
    """The specimen after edits; those that have nothing to change any more are passed over.

    Returns:
        None where none of them can be made.
    """
    before = specimen
    for edit in edits:
        with suppress(GraphError, UnwritableError, LookupError):
            specimen = edit.make(specimen)
    return None if specimen is before else specimen


def single(specimen: Specimen) -> list[Edit]:
    """Every way to make the operations of a specimen fewer by one place."""
    output = specimen.graph.outputs[0]
    operations = needed(specimen.graph)
    made = {value.number for one in operations for value in one.results}
    edits = []
    for operation in operations:
        results = [value.number for value in operation.results]
        about = str(results[0])
        if output in results:
            ends = [n for n in dict.fromkeys(tensor_operands(operation)) if n in made]
            edits += [Edit(about, partial(returning, number=n)) for n in ends]
            continue
        edits.append(Edit(about, partial(cut, numbers=results)))
        edits += [
            Edit(about, partial(bypassed, result=results[0], operand=index))
            for index in passable(specimen, operation)
        ]
    return edits


def returning(specimen: Specimen, number: int) -> Specimen:
    """The part of the graph that computes one of its values.

    Raises:
        LookupError: if there is no operation that makes it.
    """
    graph = specimen.graph
    if all(number != value.number for one in needed(graph) for value in one.results):
        raise LookupError(number)
    block = replace(graph.block, outputs=(number,))
    return pruned(replace(specimen, graph=replace(graph, block=block)))


def cut(
    specimen: Specimen, numbers: Collection[int], values: Mapping[int, Array] | None = None
) -> Specimen:
    """Some values become inputs, with the arrays that the graph's meaning has there.

    A size that is an expression becomes a symbol of the input, which is then declared to be it.

    Args:
        specimen: it.
        numbers: of the values; those that nothing reads any more are passed over.
        values: what the meaning is there, where it is known.

    Raises:
        LookupError: if the graph has none of them.
    """
    graph = specimen.graph
    declared = defined(graph)
    taken = sorted(set(numbers) & declared.keys())
    if not taken:
        raise LookupError(numbers)
    arrays = specimen.values(taken) if values is None else values
    inputs, rebinds, names = _inputs_for(taken, declared)
    block = replace(
        graph.block,
        inputs=(*graph.inputs, *inputs),
        operations=(*rebinds, *renamed(graph.operations, names)),
        outputs=tuple(names.get(n, n) for n in graph.outputs),
    )
    given = (*specimen.arrays, *(arrays[number] for number in taken))
    return pruned(replace(specimen, graph=replace(graph, block=block), arrays=given))


def _inputs_for(
    numbers: Sequence[int], declared: Mapping[int, Value]
) -> tuple[list[Value], list[Operation], dict[int, int]]:
    """Inputs in place of values: they, operations after them, and the values' new numbers."""
    first = max(declared) + 1
    inputs, rebinds, names = [], [], {}
    for index, number in enumerate(numbers):
        value = declared[number]
        taken = replace(value, number=first + 2 * index, shape=_plain(value, first + 2 * index))
        inputs.append(taken)
        names[number] = taken.number
        if taken.shape != value.shape:
            names[number] = taken.number + 1
            made = replace(value, number=names[number])
            rebinds.append(Operation("mo.rebind", (taken.number,), (made,)))
    return inputs, rebinds, names


def _plain(value: Value, number: int) -> tuple[Size, ...]:
    """A shape that an input may have: no expression is among its sizes."""
    return tuple(
        f"size{number}_{axis}" if isinstance(size, Compound) else size
        for axis, size in enumerate(value.shape or ())
    )


def all_values(specimen: Specimen) -> dict[int, Array]:
    """What the graph means at every result of the operations that a text has lines for."""
    made = [value.number for one in needed(specimen.graph) for value in one.results]
    return specimen.values(made)


def window(
    specimen: Specimen,
    operation: Operation,
    depth: int,
    values: Mapping[int, Array] | None = None,
) -> Specimen:
    """An operation and those from which the longest way to it has less than so many steps.

    What they take becomes inputs.
    """
    graph = specimen.graph
    block = replace(graph.block, outputs=(operation.results[0].number,))
    part = replace(specimen, graph=replace(graph, block=block))
    distance = distances(part)
    kept = [one for one in distance if distance[one] < depth]
    inside = {value.number for one in kept for value in one.results}
    before = {value.number for one in distance for value in one.results} - inside
    taken = {n for one in kept for n in tensor_operands(one) if n in before}
    return cut(part, taken, values) if taken else pruned(part)


def distances(specimen: Specimen) -> dict[Operation, int]:
    """How many steps the longest way from each operation to the output has."""
    distance: dict[Operation, int] = {}
    steps = dict.fromkeys(specimen.graph.outputs, 0)
    for operation in reversed(needed(specimen.graph)):
        here = max(steps.get(value.number, 0) for value in operation.results)
        distance[operation] = here
        for number in tensor_operands(operation):
            steps[number] = max(steps.get(number, 0), here + 1)
    return distance


def near(specimen: Specimen, depth: int) -> Specimen:
    """The operation that makes the output, and those at most so many steps before it."""
    makers = {value.number: one for one in needed(specimen.graph) for value in one.results}
    return window(specimen, makers[specimen.graph.outputs[0]], depth)


def bypassed(specimen: Specimen, result: int, operand: int) -> Specimen:
    """An operation gives what it takes.

    Args:
        specimen: it.
        result: the number of what the operation makes.
        operand: which of its operands takes the place of that.

    Raises:
        LookupError: if there is no such operation.
    """
    graph = specimen.graph
    makers = {value.number: one for one in graph.operations for value in one.results}
    operation = makers[result]
    names = {result: operation.operands[operand]}
    block = replace(
        graph.block,
        operations=tuple(renamed((one for one in graph.operations if one is not operation), names)),
        outputs=tuple(names.get(n, n) for n in graph.outputs),
    )
    return pruned(replace(specimen, graph=replace(graph, block=block)))


def passable(specimen: Specimen, operation: Operation) -> list[int]:
    """Which operands an operation could give in place of its result: those of the same type."""
    declared = defined(specimen.graph)
    if len(operation.results) != 1:
        return []
    result = operation.results[0]
    arrays = set(tensor_operands(operation))
    return [
        index
        for index, number in enumerate(operation.operands)
        if number in arrays
        and (declared[number].dtype, declared[number].shape) == (result.dtype, result.shape)
    ]


def tidied(specimen: Specimen) -> Specimen:
    """The same computation as a person would write it.

    Operands of other shapes are repeated by the operation that takes them, and not by one before.
    Large constants are weights.
    """
    graph = specimen.graph
    makers = {value.number: one for one in graph.operations for value in one.results}
    declared = defined(graph)
    weights = dict(specimen.weights)
    operations = [_named(_unrepeated(one, makers, declared), weights) for one in graph.operations]
    graph = graph.with_operations(operations)
    return pruned(replace(specimen, graph=graph, weights=weights))


def _named(operation: Operation, weights: dict[str, Array]) -> Operation:
    """A constant of many numbers becomes a weight, which a text has by name."""
    array = operation.attributes.get("value")
    if operation.kind != "mo.constant" or array is None or array.size <= MOST_NUMBERS:
        return operation
    name = f"constant {operation.results[0].number}"
    weights[name] = array
    return replace(operation, kind="mo.constant.external", attributes={"name": name})


def _unrepeated(
    operation: Operation, makers: Mapping[int, Operation], declared: Mapping[int, Value]
) -> Operation:
    if not (operation.kind in PHRASES and PHRASES[operation.kind].broadcasts):
        return operation
    operands = list(operation.operands)
    for index, number in enumerate(operands):
        for source in _before_repeating(number, makers, declared):
            tried = [*operands[:index], source, *operands[index + 1 :]]
            shapes = [declared[n].shape or () for n in tried]
            if _broadcast(operation, shapes) == operation.results[0].shape:
                operands = tried
    return replace(operation, operands=tuple(operands))


def _before_repeating(
    number: int, makers: Mapping[int, Operation], declared: Mapping[int, Value]
) -> list[int]:
    """What was repeated to give a value, and what was given axes of size 1 before that."""
    found = []
    if number in makers and makers[number].kind in REPEATS:
        number = makers[number].operands[0]
        found.append(number)
        if number in makers and makers[number].kind == "mo.static.reshape":
            source = makers[number].operands[0]
            shape, longer = declared[source].shape or (), declared[number].shape or ()
            if longer == (1,) * (len(longer) - len(shape)) + shape:
                found.append(source)
    return found


def _broadcast(operation: Operation, shapes: Sequence[tuple[Size, ...]]) -> tuple[Size, ...] | None:
    """The shape of the result of an operation that broadcasts; None where that is not plain."""
    if operation.kind not in PRODUCTS:
        return _joint(shapes)
    first, second = shapes
    if min(len(first), len(second)) < 2 or operation.attributes.get("transpose_b"):
        return None
    lead = _joint([first[:-2], second[:-2]])
    return None if lead is None else (*lead, first[-2], second[-1])


def _joint(shapes: Sequence[tuple[Size, ...]]) -> tuple[Size, ...] | None:
    rank = max(map(len, shapes))
    sizes: list[Size] = []
    for axis in range(rank):
        here = {s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0} - {1}
        if len(here) > 1:
            return None
        sizes.append(here.pop() if here else 1)
    return tuple(sizes)
