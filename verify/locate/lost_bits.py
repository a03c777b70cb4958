"""Rounding to fewer bits than a candidate declares, where that is what makes a place wrong.

A graph shows its own casts, whatever the architecture: `rounded to bfloat16 after the softmax
(my_model.py:57)`. Each is undone alone, then all together, and named if hardly an error is left.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reference.taps import in_words
from reports.tables.numbers import counted
from verify.candidate.narrowing import ROUNDED
from verify.judge.metrics import rms
from verify.locate.segment import CASTS, LAYOUTS, SPREADS, segment

if TYPE_CHECKING:
    from collections.abc import Collection

    from reference.trace import Array
    from verify.candidate.model_graphs import Computing
    from verify.graph.form import Operation
    from verify.truth.expectation import Expectation

MOST = 32
"""Roundings of a stage that are undone one by one."""

LEFT = 1e-2
"""Part of the error that may be left where the rounding that causes it is undone: a constant that
was rounded to float32 leaves 1e-6 to 1e-3 of what 16 bits make."""

NOTHING = 1e-9
"""Part of an error that is float64's own rounding."""

EXACT = "float64"
"""What a value is rounded to where rounding is undone."""

WORDS = {
    "reduce.softmax": "the softmax",
    "matmul": "a product",
    "batch_matmul": "a product",
    "layer_norm": "a LayerNorm",
    "rms_norm": "a norm",
    "tanh": "a tanh",
    "gelu": "a GELU",
    "exp": "an exp",
    "add": "an addition",
    "sub": "a subtraction",
    "mul": "a multiplication",
    "div": "a division",
}
"""By MAX's name of an operation without `mo.`, what it is called."""


def rounding_at_fault(tap: str, computing: Computing, expected: Expectation) -> str:
    """The rounding that makes a place wrong, in words; "" where there is none.

    Args:
        tap: the reference's name of the place.
        computing: the graph in float64, with its roundings, and what it takes.
        expected: what the case is compared with.

    Raises:
        verify.graph.errors.GraphError: where the graph cannot be evaluated.
    """
    found = _roundings(computing)
    truth = expected.isolated[tap]
    error = _error(computing, truth)
    if not found or not 0 < error < math.inf:
        return ""
    for operation in found[:MOST]:
        left = _error(_without(computing, {id(operation)}), truth) / error
        if left <= LEFT:
            return f"{_in_words(operation, computing)}{_rest(left)}"
    left = _error(_without(computing, set(map(id, found))), truth) / error
    if len(found) == 1 or left > LEFT:
        return ""
    others = f", and at {counted(len(found) - 1, 'other place')}"
    return f"{_in_words(found[0], computing)}{others}{_rest(left)}"


def _rest(left: float) -> str:
    """How much of the error another reason may have."""
    share = "nothing" if left < NOTHING else f"{left:.0e}"
    return f"; without that {share} of its error is left"


def _roundings(computing: Computing) -> list[Operation]:
    """Those that the place needs, in their order."""
    # A segment lists a rounding as the cast that it stands for, with the rounding's result.
    needed = {value.number for op in segment(computing).operations for value in op.results}
    return [op for op in computing.graph.operations if _rounds(op) and _makes(op) in needed]


def _rounds(operation: Operation) -> bool:
    return operation.attributes.get("symbol") == ROUNDED


def _makes(operation: Operation) -> int:
    return operation.results[0].number


def _without(computing: Computing, undone: Collection[int]) -> Computing:
    """The same graph in which some roundings keep every bit."""
    operations = (
        replace(op, attributes={**op.attributes, "to": EXACT}) if id(op) in undone else op
        for op in computing.graph.operations
    )
    return replace(computing, graph=computing.graph.with_operations(operations))


def _error(computing: Computing, truth: Array) -> float:
    """Root mean square distance of what a graph computes from the truth; infinite if not alike."""
    array = _joined(computing, truth)
    return math.inf if array is None else rms(array.astype(np.float64) - truth)


def _joined(computing: Computing, truth: Array) -> Array | None:
    """What the graph computes at a place, in the reference's shape; None where it has another."""
    values = segment(computing).values
    parts = [values[number] for number in computing.results]
    if sum(part.size for part in parts) != truth.size:
        return None
    width = truth.shape[-1] // len(parts)
    return np.concatenate([part.reshape(*truth.shape[:-1], width) for part in parts], axis=-1)


def _in_words(operation: Operation, computing: Computing) -> str:
    """What is rounded to what, and the line of the cast, or of the operation of fewer bits."""
    makers = {value.number: op for op in computing.graph.operations for value in op.results}
    cast = makers.get(operation.operands[0])
    before, number = cast, operation.operands[0]
    while before is not None and before.kind in (*CASTS, *LAYOUTS, *SPREADS):
        number = before.operands[0]
        before = makers.get(number)
    text = f"rounded to {operation.attributes['to']}{_after(before, computing.names.get(number))}"
    return f"{text} ({cast.place})" if cast is not None and cast.place else text


def _after(before: Operation | None, name: str | None) -> str:
    """After which operation, or of what it is given; "" where neither is known."""
    if before is None:
        return f", what {in_words(name)} returns" if name else ""
    if before.kind == "mo.constant.external":
        return f", the parameter {before.attributes['name']}"
    kind = before.kind.removeprefix("mo.")
    return f" after {WORDS.get(kind, kind)}"
