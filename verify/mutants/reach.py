"""Which taps an operation reaches, found from the graph itself; the first of them is its stage.

In a forced graph every module's result is replaced by a given activation, so that a change of one
operation stays within its stage: the first tap, in the order of execution, whose value depends on
it. An operation that several stages share (a mask, a table of angles) reaches several taps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.graph.schedule import reads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from verify.graph.form import Graph, Operation


@dataclass(frozen=True, slots=True)
class Reach:
    """What every value of a graph reaches.

    Attributes:
        taps: in the order of execution.
        masks: by a value's number, one bit for each tap that depends on the value.
    """

    taps: tuple[str, ...]
    masks: Mapping[int, int]

    def mask(self, operation: Operation) -> int:
        """The taps that depend on an operation, a bit for each."""
        mask = 0
        for value in operation.results:
            mask |= self.masks.get(value.number, 0)
        return mask

    def of(self, operation: Operation) -> tuple[str, ...]:
        """The taps that depend on an operation, in the order of execution."""
        mask = self.mask(operation)
        return tuple(tap for index, tap in enumerate(self.taps) if mask >> index & 1)

    def stage(self, operation: Operation) -> str | None:
        """The tap where a change of the operation must be blamed; None if it reaches none."""
        return next(iter(self.of(operation)), None)


def reach(graph: Graph, taps: Mapping[str, Sequence[int]]) -> Reach:
    """What every value of a graph reaches.

    Args:
        graph: a forced graph: what its modules return is not what the next ones take.
        taps: in the order of execution, each with the numbers of the values that it shows.
    """
    masks: dict[int, int] = {}
    for index, numbers in enumerate(taps.values()):
        for number in numbers:
            masks[number] = masks.get(number, 0) | 1 << index
    found = Reach(tuple(taps), masks)
    for operation in reversed(graph.operations):
        if mask := found.mask(operation):
            for number in reads(operation):
                masks[number] = masks.get(number, 0) | mask
    return found
