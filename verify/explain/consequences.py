"""Places that are wrong only because an earlier place is, which their stage is not cut off from.

What a place computed instead is put in its place in the oracle, and what follows from it is
compared with what the candidate computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reference.taps import INPUT, block_of
from verify.explain.llama_formulas import parameter
from verify.faults.base import Fault
from verify.faults.planted import computed_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reference.oracle import Oracle
    from reference.trace import Array
    from verify.explain.failure import Failure


def following(failure: Failure, others: Iterable[Failure]) -> list[Failure]:
    """Of the other failures of a case, those that follow from one.

    Args:
        failure: the earlier one.
        others: of any case.
    """
    near = {computed_in(failure.tap)}
    if failure.tap == block_of(failure.tap) + INPUT:
        near.add(block_of(failure.tap))
    order = {tap: place for place, tap in enumerate(failure.expected.isolated)}
    later = [
        other
        for other in others
        if other.expected is failure.expected
        and computed_in(other.tap) in near
        and order[other.tap] > order[failure.tap]
    ]
    if not later or failure.found.shape != failure.truth.shape:
        return []
    if not failure.of_gpt2:
        return [other for other in later if other.explained_by(_projected(failure, other))]
    results = failure.variants(_put(failure), failure.layer or 0, {one.tap for one in later})
    return [other for other in later if other.explained_by(results.get(other.tap))]


def _projected(failure: Failure, other: Failure) -> Array | None:
    """What a linear module of a decoder of transformers makes of what it was found to be given."""
    weight, bias = (parameter(failure, f"{other.tap}.{name}") for name in ("weight", "bias"))
    if failure.tap != other.tap + INPUT or weight is None or weight.ndim != 2:
        return None
    result = failure.found.astype(np.float64) @ weight.T
    return result if bias is None else result + bias


def _put(failure: Failure) -> Fault:
    """A fault that computes in a place what was found there."""
    tap, block = failure.tap, block_of(failure.tap)
    second = tap == f"{block}.ln_2{INPUT}"  # a sum that is also the residual stream
    return Fault(
        id="found",
        # What a block is given lies outside, and what follows from it inside.
        tap=f"{block}.ln_1{INPUT}" if tap == f"{block}{INPUT}" else tap,
        method="add" if second else "call",
        within=block if second else "",
        replace=_first_sum(failure.found) if second else _instead(tap, failure.found),
        expected="",
        found="",
        seen_in="",
    )


def _instead(tap: str, found: Array) -> Callable[..., Any]:
    """A call that takes, or returns, what was found."""

    def call(model: Oracle, original: Any, path: str, part: Any, x: Array) -> Array:
        if tap == path + INPUT:
            return original(path, part, found)
        # What a module returns is recorded, and replaced where it is cut, by the call itself.
        return original(path, (lambda *_: found) if tap == path else part, x)

    return call


def _first_sum(found: Array) -> Callable[..., Any]:
    """The first sum of a block is what was found."""
    sums: list[Array] = []

    def add(model: Oracle, original: Any, x: Array, y: Array) -> Array:
        sums.append(x)
        return found if len(sums) == 1 else original(x, y)

    return add
