"""Which function is the meaning of which operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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


def custom(*symbols: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the meaning of custom operations, by the symbols of their kernels."""

    def registered(function: Callable[..., Any]) -> Callable[..., Any]:
        CUSTOM.update(dict.fromkeys(symbols, function))
        return function

    return registered
