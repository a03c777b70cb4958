"""Branches, loops and calls, and operations that only look on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verify.graph.errors import GraphError
from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope

MOST_TURNS = 100_000
"""A loop that turns more often is taken for one without an end."""


@meaning("mo.if")
def branch(scope: Scope, condition: Array) -> tuple[Any, ...]:
    """One block or the other."""
    return tuple(scope.run(scope.operation.blocks[0 if condition else 1], ()))


@meaning("mo.while")
def loop(scope: Scope, *values: Any) -> tuple[Any, ...]:
    """The second block over and over, while the first says so.

    Raises:
        GraphError: after `MOST_TURNS`.
    """
    asks, does = scope.operation.blocks
    for _ in range(MOST_TURNS):
        goes_on, *values = scope.run(asks, values)  # type: ignore[assignment]
        if not goes_on:
            return tuple(values)
        values = scope.run(does, values)  # type: ignore[assignment]
    raise GraphError(f"a loop does not end within {MOST_TURNS} turns")


@meaning("mo.call")
def call(scope: Scope, *operands: Any) -> tuple[Any, ...]:
    """Another graph, whose placeholders take weights with the call's prefix."""
    return tuple(scope.call(scope["callee"], scope.get("prefix", ""), operands))


@meaning("mo.sequence")
def sequence(scope: Scope, *operands: Any) -> tuple[Any, ...]:
    """A block on a stream of its own: the same numbers."""
    return tuple(scope.run(scope.operation.blocks[0], operands))


@meaning("mo.debug.print", "mo.debug.tensor.print")
def printed(scope: Scope, *operands: Any) -> None:
    """Nothing is printed here, and no number depends on it."""


@meaning("mo.assert")
def asserted(scope: Scope, condition: Array, *chain: Any) -> None:
    """What the graph itself wants to be sure of.

    Raises:
        GraphError: if it is not so.
    """
    if not condition:
        raise GraphError(f"the graph's own check fails: {scope.get('message', 'no message')}")


@meaning("mo.chain.create")
def chain(scope: Scope, *inputs: Any) -> None:
    """The beginning of an order, or several joined."""
