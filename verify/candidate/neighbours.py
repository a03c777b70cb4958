"""Constants that a graph holds in float32 alone, moved to neighbouring numbers.

A table that was computed in float32 (`1 / theta ** (np.arange(..., dtype=np.float32) / d)`) is a
legitimate form of the exact one: float32 can hold no better, and transformers keeps its own so. In
float64 its rounding would be all that is seen of a correct model. How much it does is measured on
the graph itself: with each such number moved by a unit in its last place, to either side.

A number that is known as it was before it was rounded (`verify.graph.adapter.noting`) stays as it
is, and so does one that float32 holds exactly: 0.125, -inf, 10000.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.form import Block, Graph, Operation

EXACT_BITS = 12
"""A number whose binary fraction is no longer than half of float32's 24 bits was not rounded: one
in 4,096 of the numbers that were looks like it."""


@lru_cache(maxsize=64)
def with_neighbours(graph: Graph, seed: int) -> Graph:
    """The graph with every rounded constant moved by a unit in its last place.

    Args:
        graph: to be evaluated in float64.
        seed: draws to which side.

    Returns:
        The graph itself, where no constant was rounded.
    """
    rng = np.random.default_rng(seed)
    block = _moved(graph.block, rng)
    callees = {name: _moved(one, rng) for name, one in graph.callees.items()}
    if block is graph.block and all(callees[name] is graph.callees[name] for name in callees):
        return graph
    return replace(graph, block=block, callees=callees)


def _moved(block: Block, rng: np.random.Generator) -> Block:
    operations = tuple(_operation(operation, rng) for operation in block.operations)
    return block if operations == block.operations else replace(block, operations=operations)


def _operation(operation: Operation, rng: np.random.Generator) -> Operation:
    inner = tuple(_moved(block, rng) for block in operation.blocks)
    if inner != operation.blocks:
        return replace(operation, blocks=inner)
    if operation.kind != "mo.constant" or "value" in operation.attributes.get("exact", {}):
        return operation
    value: Array = operation.attributes["value"]
    if value.dtype != np.float32 or not (rounded := is_rounded(value)).any():
        return operation
    wide = value.astype(np.float64)
    moved = wide + np.where(rounded, np.spacing(value) * rng.choice([-1.0, 1.0], value.shape), 0.0)
    attributes = {**operation.attributes, "exact": {"value": moved}}
    return replace(operation, attributes=attributes)


def is_rounded(value: Array) -> Array:
    """Which float32 numbers have more bits than a number that float32 holds exactly would have."""
    fractions, _ = np.frexp(np.where(np.isfinite(value), value, 0.0).astype(np.float64))
    scaled = fractions * 2.0**EXACT_BITS
    result: Array = scaled != np.rint(scaled)
    return result
