"""What a mutant is: one operation of a graph, replaced by others that define the same values.

`Site` is what an operator looks at: an operation and what its operands are made of. `Draft` is what
it writes: new operations before, in place of, and after the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.form import Graph, Operation, Size, Value, is_floating

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.trace import Array

PASSING = (
    "mo.broadcast_to",
    "mo.static.broadcast_to",
    "mo.reshape",
    "mo.static.reshape",
    "mo.rebind",
    "mo.transpose",
    "mo.transfer",
    "mo.cast",
    "mo.shape.to_tensor",
    "mo.shape.from_tensor",
)
"""Kinds that hand on the numbers of their first operand."""

SHAPES = (
    "mosh.param.to_value",
    "mo.shape.to_tensor",
    "mo.shape.from_tensor",
    "mo.index.to_tensor",
    "mo.shape_of",
    "mo.broadcast_shape",
    "mo.squeeze_shape",
    "mo.unsqueeze_shape",
)
"""Kinds that compute shapes: with another shape there is no program."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator makes of an operation.

    Attributes:
        kind: of mutant; see `verify.mutants.generate.KINDS`.
        operations: what stands in place of the operation.
        found: what is computed instead, in words.
    """

    kind: str
    operations: tuple[Operation, ...]
    found: str


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """A graph with one operation changed.

    Attributes:
        id: unique among the mutants of a graph, and the same in every run.
        stage: the tap where it must be blamed.
        reached: every tap that depends on the operation, in the order of execution.
        index: of the operation among the graph's outermost ones.
        operation: what is changed.
        change: what it becomes.
    """

    id: str
    stage: str
    reached: tuple[str, ...]
    index: int
    operation: Operation
    change: Change

    @property
    def kind(self) -> str:
        """The kind of change."""
        return self.change.kind

    def described(self) -> str:
        """What is computed instead, and where in the source."""
        place = f" ({self.operation.place})" if self.operation.place else ""
        return f"{self.operation.kind.removeprefix('mo.')}: {self.change.found}{place}"

    def applied_to(self, graph: Graph) -> Graph:
        """The whole graph with the change in it."""
        before, after = graph.operations[: self.index], graph.operations[self.index + 1 :]
        return graph.with_operations((*before, *self.change.operations, *after))


class Source:
    """A graph, and what is known of each of its values.

    Args:
        graph: it.
        given: by the number of an input, the value that it stands for, and its name: a given
            activation belongs where the module that it replaces has its result.
        declared: the precision that the candidate declares.
    """

    def __init__(
        self,
        graph: Graph,
        given: Mapping[int, tuple[int, str]] | None = None,
        declared: str = "float32",
    ) -> None:
        self.graph = graph
        self.declared = declared
        self._given = given or {}
        self.values = {value.number: value for value in graph.inputs}
        self.makers: dict[int, Operation] = {}
        self.order = {value.number: -1 for value in graph.inputs}
        for index, operation in enumerate(graph.operations):
            for value in operation.results:
                self.values[value.number] = value
                self.makers[value.number] = operation
                self.order[value.number] = index
        self.order |= {number: self.order[stands] for number, (stands, _) in self._given.items()}

    @cached_property
    def first_free(self) -> int:
        """No value of the graph has this number or a larger one."""
        inner = [value.number for operation in _every(self.graph) for value in operation.results]
        taken = [value.number for block in _blocks(self.graph) for value in block.inputs]
        return max([*self.values, *inner, *taken], default=0) + 1

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Every size above 1 of an array of floating-point numbers, smallest first."""
        shapes = [v.shape or () for v in self.values.values() if is_floating(v.dtype)]
        return tuple(sorted({n for shape in shapes for n in shape if isinstance(n, int) and n > 1}))

    @cached_property
    def weights(self) -> dict[str, Operation]:
        """The weights that it reads, by name."""
        return {
            operation.attributes["name"]: operation
            for operation in self.graph.operations
            if operation.kind == "mo.constant.external"
        }

    @cached_property
    def by_type(self) -> dict[tuple[Any, ...], list[Value]]:
        """Tensors of one dtype and shape, in the order of the graph."""
        groups: dict[tuple[Any, ...], list[Value]] = {}
        for value in sorted(self.values.values(), key=lambda value: self.order[value.number]):
            if value.sort == "tensor":
                groups.setdefault(type_of(value), []).append(value)
        return groups

    def root(self, number: int) -> int:
        """The value that another one only hands on."""
        while (maker := self.makers.get(number)) and maker.kind in PASSING:
            number = maker.operands[0]
        return number

    def stands_for(self, number: int) -> int:
        """The value that a given activation replaces; any other value itself."""
        return self._given[number][0] if number in self._given else number

    def constant(self, number: int) -> Array | None:
        """The numbers that a value is made of, if they stand in the graph; exact ones if known."""
        maker = self.makers.get(self.root(number))
        if maker is None or maker.kind != "mo.constant":
            return None
        array: Array = maker.attributes.get("exact", {}).get("value", maker.attributes["value"])
        return array

    def integers(self, number: int) -> tuple[Size, ...] | None:
        """A list of sizes that stands in the graph, such as a slice's start; None if computed."""
        maker = self.makers.get(number)
        while maker and maker.kind in ("mo.shape.to_tensor", "mo.static.reshape", "mo.rebind"):
            maker = self.makers.get(maker.operands[0])
        if maker is None or maker.kind not in ("mo.constant", "mosh.param.to_value"):
            return None
        value = maker.attributes["value"]
        if isinstance(value, np.ndarray):
            return tuple(int(one) for one in value.ravel()) if value.dtype.kind in "iu" else None
        return value if isinstance(value, tuple) else (value,)

    def described(self, number: int) -> str:
        """What a value is, for sentences: an input, a weight, or what an operation returns."""
        maker = self.makers.get(number)
        if maker is None:
            stands = self._given.get(number)
            return f"the result of {stands[1]}" if stands else "an input of the graph"
        return self.weight(number) or f"the result of {maker.kind.removeprefix('mo.')}"

    def weight(self, number: int) -> str | None:
        """The name of the weight that a value hands on."""
        maker = self.makers.get(self.root(number))
        if maker is None or maker.kind != "mo.constant.external":
            return None
        name: str = maker.attributes["name"]
        return name


def _blocks(graph: Graph) -> Iterator[Any]:
    for operation in _every(graph):
        yield from operation.blocks


def _every(graph: Graph) -> Iterator[Operation]:
    waiting = list(graph.operations)
    while waiting:
        operation = waiting.pop()
        yield operation
        for block in operation.blocks:
            waiting.extend(block.operations)


def type_of(value: Value) -> tuple[Any, ...]:
    """Dtype and shape, as a key."""
    return value.dtype, tuple(map(str, value.shape or ()))


@dataclass(frozen=True, slots=True)
class Site:
    """An operation that may be changed.

    Attributes:
        source: its graph.
        index: among the outermost operations.
    """

    source: Source
    index: int

    @property
    def operation(self) -> Operation:
        """It."""
        return self.source.graph.operations[self.index]

    @property
    def kind(self) -> str:
        """Its kind: `mo.add`."""
        return self.operation.kind

    @property
    def result(self) -> Value:
        """Its first result."""
        return self.operation.results[0]

    @property
    def operands(self) -> tuple[Value, ...]:
        """What it takes."""
        return tuple(self.source.values[number] for number in self.operation.operands)

    @property
    def is_floating(self) -> bool:
        """Whether its only result is an array of floating-point numbers."""
        results = self.operation.results
        return len(results) == 1 and self.result.sort == "tensor" and is_floating(self.result.dtype)

    def name(self, index: int) -> str:
        """What an operand is, for sentences: a weight, a number, or its place among the operands.

        Args:
            index: of the operand.
        """
        number = self.operation.operands[index]
        weight, constant = self.source.weight(number), self.source.constant(number)
        if weight is not None:
            return weight
        if constant is not None and constant.size == 1:
            return f"the constant {constant.item():.6g}"
        return f"operand {index + 1}"

    def draft(self) -> Draft:
        """An empty change."""
        return Draft(self)


class Draft:
    """A change in the making.

    Args:
        site: what is changed.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._made: list[Operation] = []
        self._next = site.source.first_free

    def make(
        self,
        kind: str,
        operands: Sequence[int],
        like: Value | tuple[str, Sequence[Size]],
        **attributes: Any,
    ) -> int:
        """A further operation; returns the number of its result.

        Args:
            kind: of the operation.
            operands: numbers of what it takes.
            like: a value of the same dtype and shape as its result, or both of them.
            attributes: of the operation.
        """
        dtype, shape = (like.dtype, like.shape) if isinstance(like, Value) else like
        made = Value(self._next, "tensor", dtype, None if shape is None else tuple(shape))
        self._next += 1
        self._add(Operation(kind, tuple(operands), (made,), attributes))
        return made.number

    def constant(self, value: Any, dtype: str = "int64") -> int:
        """Numbers; floating-point ones are taken as they are in float64."""
        array = np.asarray(value, np.float64 if is_floating(dtype) else dtype)
        return self.make("mo.constant", (), (dtype, array.shape), value=array)

    def sizes(self, sizes: Sequence[Size]) -> int:
        """A list of sizes, symbols among them, as an array."""
        shape = Value(self._next, "shape")
        self._next += 1
        self._add(Operation("mosh.param.to_value", (), (shape,), {"value": tuple(sizes)}))
        return self.make("mo.shape.to_tensor", (shape.number,), ("int64", (len(sizes),)))

    def filled(self, value: float, like: Value) -> int:
        """One number everywhere."""
        number = self.constant(value, like.dtype)
        return self.make("mo.static.broadcast_to", (number,), like)

    def custom(self, symbol: str, operands: Sequence[int], like: Value, **attributes: Any) -> int:
        """An operation of `verify.mutants.meanings`."""
        return self.make("mo.custom", operands, like, symbol=symbol, **attributes)

    def with_operands(self, changed: dict[int, int], **attributes: Any) -> None:
        """The operation itself with other operands, by index, and other attributes."""
        old = self._site.operation
        operands = tuple(changed.get(index, number) for index, number in enumerate(old.operands))
        kept = {**old.attributes, **attributes}
        self._add(replace(old, operands=operands, attributes=kept))

    def with_results(self, results: Sequence[Value]) -> None:
        """The operation itself, whose results are these, in this order."""
        self._add(replace(self._site.operation, results=tuple(results)))

    def result(self, kind: str, operands: Sequence[int], **attributes: Any) -> None:
        """Another operation in its place."""
        self._add(
            Operation(kind, tuple(operands), self._site.operation.results, attributes, (), None)
        )

    def hand_on(self, number: int) -> None:
        """An existing value in place of the result."""
        self.result("mo.rebind", (number,))

    def before(self) -> int:
        """The operation as it was, its result still to be changed; returns the result's number."""
        old = self._site.operation
        value = replace(old.results[0], number=self._next)
        self._next += 1
        self._add(replace(old, results=(value, *old.results[1:])))
        return value.number

    def change(self, kind: str, found: str) -> Change:
        """The finished change."""
        return Change(kind, tuple(self._made), found)

    def _add(self, operation: Operation) -> None:
        self._made.append(operation)
