"""Which function is the meaning of which operation."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from verify.graph.errors import UnknownOperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from verify.graph.scope import Scope

Meaning = "Callable[..., Any]"
"""Takes a `Scope` and the operands, arrays mostly; returns the result, or a tuple of several. It
writes to none of them. Floating-point operands of 16 and fewer bits come as float32, and what it
returns is rounded to the dtype that the graph declares."""

MEANINGS: dict[str, Callable[..., Any]] = {}
"""By kind: `mo.add`."""

CUSTOM: dict[str, Callable[..., Any]] = {}
"""By symbol, what a `mo.custom` computes: `mx.argsort`."""


def meaning(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the meaning of these kinds of operation."""

    def registered(function: Callable[..., Any]) -> Callable[..., Any]:
        MEANINGS.update(dict.fromkeys(kinds, function))
        return function

    return registered


def custom(
    *symbols: str, parameters: Collection[str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the meaning of custom operations, by the symbols of their kernels.

    Args:
        symbols: of the kernels.
        parameters: the names of all parameters that the function understands. An operation with
            another one, or with more operands than the function takes, is then refused. None leaves
            both to the function.
    """

    def registered(function: Callable[..., Any]) -> Callable[..., Any]:
        held = function if parameters is None else _checked(function, frozenset(parameters))
        CUSTOM.update(dict.fromkeys(symbols, held))
        return function

    return registered


def _checked(function: Callable[..., Any], known: frozenset[str]) -> Callable[..., Any]:
    """The function behind a check of what it is asked for."""
    takes = len(inspect.signature(function).parameters) - 1

    @functools.wraps(function)
    def checked(scope: Scope, *operands: Any) -> Any:
        symbol = scope["symbol"]
        if unknown := sorted(scope.get("parameters", {}).keys() - known):
            raise UnknownOperationError(
                f"{symbol} has a parameter that is not known here: {', '.join(unknown)}"
            )
        if len(operands) != takes:
            raise UnknownOperationError(
                f"{symbol} takes {len(operands)} operands, and only the form with {takes} is known "
                "here"
            )
        return function(scope, *operands)

    return checked
