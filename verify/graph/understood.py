"""Whether a graph can be evaluated, told before it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verify.graph.errors import RandomOperationError, UnknownOperationError
from verify.graph.form import walk
from verify.graph.operations import CUSTOM, MEANINGS
from verify.graph.operations.refused import RANDOM, reason
from verify.graph.schedule import scheduled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from verify.graph.errors import GraphError
    from verify.graph.form import Block, Graph, Operation


def meaning_of(operation: Operation) -> Callable[..., Any] | None:
    """The function that is an operation's meaning; None where it has none."""
    if operation.kind == "mo.custom":
        return CUSTOM.get(operation.attributes["symbol"])
    return MEANINGS.get(operation.kind)


def refusal(graph: Graph, keep: frozenset[int] = frozenset()) -> GraphError | None:
    """Why a graph cannot be evaluated: its first operation without a meaning; None if it can be.

    Only operations that an output or a buffer needs are looked at, blocks and callees included.

    Args:
        graph: it.
        keep: numbers of values that are wanted besides its outputs.
    """
    for operation in _needed(graph, graph.block, keep):
        if meaning_of(operation) is None:
            return _without_meaning(operation, graph.version)
    return None


def random_operation(graph: Graph) -> RandomOperationError | None:
    """What refuses the first operation of a graph that draws random numbers; None without one."""
    for operation in _needed(graph, graph.block, frozenset()):
        if operation.kind in RANDOM:
            return _random(operation)
    return None


def _random(operation: Operation) -> RandomOperationError:
    return RandomOperationError(
        f"there is a random operation in the graph, {operation.kind}{at(operation)}: "
        "dropout at inference?"
    )


def _needed(graph: Graph, block: Block, keep: frozenset[int]) -> Iterator[Operation]:
    for outermost in scheduled(graph, block, keep).operations:
        for operation in (outermost, *(deep for each in outermost.blocks for deep in walk(each))):
            yield operation
            if operation.kind == "mo.call":
                callee = graph.callees[operation.attributes["callee"]]
                yield from _needed(graph, callee, frozenset())


def _without_meaning(operation: Operation, version: str) -> GraphError:
    name, why = operation.kind, reason(operation.kind)
    if name in RANDOM:
        return _random(operation)
    if name == "mo.custom":
        name = f"the custom operation {operation.attributes['symbol']}"
    return UnknownOperationError(
        f"MAX {version} has an operation this does not know: {name}{at(operation)}"
        + (f", which {why}" if why else "")
    )


def at(operation: Operation) -> str:
    """The place of an operation for a sentence, in brackets; empty where it is not known."""
    return f" ({operation.place})" if operation.place else ""
