"""What a mutant computes on one case: only what lies between the change and the taps it reaches.

Everything before the change is taken from one evaluation of the graph as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from verify.candidate.narrowing import with_rounding
from verify.graph.evaluate import Evaluated, evaluate
from verify.graph.form import Block, Graph, Operation, Value
from verify.graph.schedule import reads
from verify.graph.scope import working_dtype
from verify.mutants.reach import reach

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from reference.trace import Array
    from verify.graph.scope import Precision
    from verify.mutants.change import Mutant
    from verify.mutants.forced import Forced

CHEAP = ("mo.constant", "mo.constant.external", "mosh.param.to_value")
"""Kinds that are evaluated again rather than kept."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a mutated graph that decides some taps.

    Attributes:
        graph: its inputs are some of the whole graph's, and then kept values.
        kept: the numbers of these values.
    """

    graph: Graph
    kept: tuple[int, ...]


class Cutter:
    """Cuts parts out of a graph.

    Args:
        forced: the graph, and what its taps are.
    """

    def __init__(self, forced: Forced) -> None:
        self.graph = graph = forced.graph
        self.declared = forced.declared
        self.taps = forced.taps
        self.reach = reach(graph, forced.taps)
        self.masks = [self.reach.mask(operation) for operation in graph.operations]
        self.values = {value.number: value for value in graph.inputs}
        self._cuts: dict[tuple[str, str], Cut] = {}
        self.makers: dict[int, int] = {}
        self.readers: dict[int, list[int]] = {}
        for index, operation in enumerate(graph.operations):
            for value in operation.results:
                self.values[value.number] = value
                self.makers[value.number] = index
            for number in reads(operation):
                self.readers.setdefault(number, []).append(index)

    @cached_property
    def anchors(self) -> tuple[int, ...]:
        """Positions of inputs that between them tell every size that inputs can tell."""
        known: set[str] = set()
        chosen = []
        for position, value in enumerate(self.graph.inputs):
            symbols = {size for size in value.shape or () if isinstance(size, str)}
            if symbols - known:
                chosen.append(position)
                known |= symbols
        return tuple(chosen)

    def cut(self, mutant: Mutant, tap: str) -> Cut:
        """The part that decides a tap of a mutant."""
        key = mutant.id, tap
        if key not in self._cuts:
            self._cuts[key] = self._cut(mutant, tap)
        return self._cuts[key]

    def _cut(self, mutant: Mutant, tap: str) -> Cut:
        after = self._affected(mutant.operation, tap)
        changed = [*mutant.change.operations, *(self.graph.operations[i] for i in after)]
        before, kept = self._taken(changed, self.taps[tap])
        anchors = [self.graph.inputs[position] for position in self.anchors]
        inputs = (*anchors, *(self.values[number] for number in kept))
        operations = (*(self.graph.operations[i] for i in before), *changed)
        block = Block(inputs, operations, self.taps[tap])
        part = Graph("part", block, self.graph.callees, self.graph.version)
        return Cut(self.with_rounding(part), tuple(kept))

    def with_rounding(self, graph: Graph) -> Graph:
        """A graph whose casts to fewer bits than declared round, as the candidate's own do."""
        return with_rounding(graph, self.declared)

    def _affected(self, operation: Operation, tap: str) -> list[int]:
        """The operations between a changed one and a tap, in their order."""
        bit = 1 << self.reach.taps.index(tap)
        found: set[int] = set()
        waiting = [value.number for value in operation.results]
        while waiting:
            for index in self.readers.get(waiting.pop(), ()):
                if index not in found and self.masks[index] & bit:
                    found.add(index)
                    results = self.graph.operations[index].results
                    waiting.extend(value.number for value in results)
        return sorted(found)

    def _taken(
        self, operations: Iterable[Operation], outputs: Iterable[int]
    ) -> tuple[list[int], list[int]]:
        """What is taken from the rest of the graph: cheap operations to run again, and values."""
        defined: set[int] = set()
        wanted: list[int] = []
        for operation in operations:
            wanted += [number for number in reads(operation) if number not in defined]
            defined.update(value.number for value in operation.results)
        wanted += [number for number in outputs if number not in defined]
        again: set[int] = set()
        kept: dict[int, None] = {}
        while wanted:
            number = wanted.pop()
            if number not in self.values:
                continue  # defined inside of a block
            maker = self.makers.get(number)
            if maker is None or not self._is_cheap(maker, self.values[number]):
                kept[number] = None
            elif maker not in again:
                again.add(maker)
                wanted += reads(self.graph.operations[maker])
        return sorted(again), sorted(kept)

    def _is_cheap(self, maker: int, value: Value) -> bool:
        return value.sort != "tensor" or self.graph.operations[maker].kind in CHEAP


class Trial:
    """Mutants on one case.

    Args:
        forced: the graph with weights.
        cutter: of the same graph.
        ids: token ids.
        given: activations by the reference's taps.
        precision: `float64`, or `declared` for what the graph itself declares.
    """

    def __init__(
        self,
        forced: Forced,
        cutter: Cutter,
        ids: Array,
        given: Mapping[str, Array],
        precision: Precision = "float64",
    ) -> None:
        self._forced = forced
        self._cutter = cutter
        self._ids = ids
        self._precision = precision
        dtypes = [working_dtype(value.dtype, precision) for value in forced.graph.inputs]
        arrays = zip(forced.inputs(ids, given), dtypes, strict=True)
        self._inputs = [array.astype(dtype, copy=False) for array, dtype in arrays]
        self._kept: dict[int, Array] = {}

    def keep(self, cuts: Iterable[Cut], taps: Iterable[str]) -> None:
        """Evaluate the graph as it is, as far as these parts and taps need it."""
        wanted = {number for cut in cuts for number in cut.kept}
        wanted |= {number for tap in taps for number in self._forced.taps[tap]}
        missing = wanted - self._kept.keys()
        if missing:
            graph = self._forced.graph
            bare = graph.with_operations(graph.operations, outputs=())
            found = self._evaluated(bare, self._inputs, missing)
            self._kept |= found.kept
            for value, array in zip(graph.inputs, self._inputs, strict=True):
                self._kept[value.number] = array

    def original(self, tap: str) -> Array:
        """What the graph as it is shows at a tap."""
        arrays = [self._kept[number] for number in self._forced.taps[tap]]
        return self._forced.read(tap, arrays, self._ids)

    def mutated(self, mutant: Mutant, tap: str) -> Array:
        """What a mutant shows at a tap that it reaches.

        Raises:
            GraphError: where it cannot be evaluated.
        """
        cut = self._cutter.cut(mutant, tap)
        self.keep([cut], [tap])
        inputs = [self._inputs[position] for position in self._cutter.anchors]
        inputs += [self._kept[number] for number in cut.kept]
        outputs = self._evaluated(cut.graph, inputs).outputs
        return self._forced.read(tap, outputs, self._ids)

    def _evaluated(
        self, graph: Graph, inputs: Sequence[Array], keep: Collection[int] = ()
    ) -> Evaluated:
        return evaluate(graph, inputs, self._forced.weights, self._precision, keep=keep)
