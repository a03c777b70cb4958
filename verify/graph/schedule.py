"""Which operations of a block have to run, and when the last reader of a value has.

Operations whose results reach no output are left out, unless they write to a buffer: a graph that
was cut down to one output costs only what that output needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from verify.graph.form import Block, Graph, Operation

WRITES = ("mo.mutable.store", "mo.mutable.store.slice", "mo.buffer.transfer", "mo.assert")
"""Kinds that do something besides defining values."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The operations of a block that have to run.

    Attributes:
        operations: in their order.
        last_read: after each of them, the values that nobody reads any more.
    """

    operations: tuple[Operation, ...]
    last_read: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=64)
def scheduled(graph: Graph, block: Block, kept: frozenset[int] = frozenset()) -> Schedule:
    """The schedule of one of a graph's blocks.

    Args:
        graph: the whole graph.
        block: its own block, or one that it calls.
        kept: values that are wanted besides the outputs.
    """
    needed = {*block.outputs, *kept}
    callees = graph.callees
    live: list[Operation] = []
    for operation in reversed(block.operations):
        defined = {value.number for value in operation.results}
        if defined & needed or writes(operation, callees):
            live.append(operation)
            needed.update(reads(operation))
    live.reverse()
    return Schedule(tuple(live), _last_read(live, {*block.outputs, *kept}))


def cut(graph: Graph, outputs: Sequence[int]) -> Graph:
    """The part of a graph that some of its outermost values need, with them as its outputs.

    Args:
        graph: it stays as it is, and the part takes the same inputs.
        outputs: numbers of values, in the order in which the part returns them.
    """
    asked = graph.with_operations(graph.operations, tuple(outputs))
    return asked.with_operations(scheduled(asked, asked.block).operations)


def _last_read(live: list[Operation], kept: set[int]) -> tuple[tuple[int, ...], ...]:
    seen = set(kept)
    ends: list[tuple[int, ...]] = []
    for operation in reversed(live):
        here = {*reads(operation), *(value.number for value in operation.results)}
        ends.append(tuple(here - seen))
        seen |= here
    return tuple(reversed(ends))


def reads(operation: Operation) -> set[int]:
    """The numbers that an operation takes, those that its blocks take from outside included."""
    taken, defined = set(operation.operands), set()
    for block in operation.blocks:
        defined |= {value.number for value in block.inputs}
        taken |= set(block.outputs)
        for inner in block.operations:
            defined |= {value.number for value in inner.results}
            taken |= reads(inner)
    return taken - defined


def writes(operation: Operation, callees: Mapping[str, Block]) -> bool:
    """Whether an operation changes a buffer, or checks something."""
    if operation.kind in WRITES:
        return True
    if operation.kind == "mo.custom":
        return any(value.sort == "chain" for value in operation.results)
    inside = list(operation.blocks)
    if operation.kind == "mo.call" and operation.attributes["callee"] in callees:
        inside.append(callees[operation.attributes["callee"]])
    return any(writes(inner, callees) for block in inside for inner in block.operations)
