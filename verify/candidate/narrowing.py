"""Values narrower than the precision that a model declares lose bits, in float64 too.

In float64 every floating-point number is wide, and a cast changes none: that is how a model of
bfloat16 is judged by its mathematics. But a float32 model that casts to bfloat16 on the way throws
bits away that it declares to have, which no other order of evaluation explains. Here such values
are rounded to what they are declared as, and go on in float64.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import ml_dtypes

from verify.graph.form import Block, Graph, Operation, Value, is_floating, numpy_dtype
from verify.graph.operations.registry import custom

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reference.trace import Array
    from verify.graph.scope import Scope

ROUNDED = "verify.rounded"
"""The custom operation that rounds: its attribute `to` is a dtype."""


@custom(ROUNDED)
def rounded(scope: Scope, x: Array) -> Array:
    """The numbers that a narrower dtype can hold."""
    return x.astype(numpy_dtype(scope["to"])).astype(x.dtype)


def narrowest(arrays: Iterable[Array]) -> str:
    """The floating-point dtype of the fewest bits among some arrays; float32 where there is none.

    A model of bfloat16 may hold some parameters, its LayerNorms' say, in float32.
    """
    names = {array.dtype.name for array in arrays if is_floating(array.dtype.name)}
    return min(names, key=fraction_bits, default="float32")


def fraction_bits(dtype: str) -> int:
    """How many bits of a number's fraction a dtype holds: 23 for float32, 7 for bfloat16."""
    return int(ml_dtypes.finfo(numpy_dtype(dtype)).nmant)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=64)
def with_rounding(graph: Graph, declared: str) -> Graph:
    """A graph whose values of fewer bits than declared are rounded to what they can hold.

    Args:
        graph: to be evaluated in float64.
        declared: the precision that the model declares. A value of fewer exponent bits alone, such
            as float16 in a model of bfloat16, stays as it is.

    Returns:
        The graph itself, where nothing is narrower.
    """
    numbers = iter(range(_first_free(graph), 1 << 62))
    block = _rounding(graph.block, declared, numbers)
    callees = {name: _rounding(one, declared, numbers) for name, one in graph.callees.items()}
    if block is graph.block and all(callees[name] is graph.callees[name] for name in callees):
        return graph
    return replace(graph, block=block, callees=callees)


def _rounding(block: Block, declared: str, numbers: Iterator[int]) -> Block:
    made: list[Operation] = []
    for operation in block.operations:
        made += _rounded_results(operation, declared, numbers)
    return block if tuple(made) == block.operations else replace(block, operations=tuple(made))


def _rounded_results(
    operation: Operation, declared: str, numbers: Iterator[int]
) -> list[Operation]:
    inner = tuple(_rounding(block, declared, numbers) for block in operation.blocks)
    if inner != operation.blocks:
        operation = replace(operation, blocks=inner)
    narrow = [value for value in operation.results if _is_narrower(value, declared)]
    if not narrow:
        return [operation]
    exact = {value.number: replace(value, number=next(numbers)) for value in narrow}
    results = tuple(exact.get(value.number, value) for value in operation.results)
    return [
        replace(operation, results=results),
        *(_rounding_to(value, exact[value.number].number) for value in narrow),
    ]


def _rounding_to(value: Value, exact: int) -> Operation:
    attributes = {"symbol": ROUNDED, "to": value.dtype}
    return Operation("mo.custom", (exact,), (value,), attributes)


def _is_narrower(value: Value, declared: str) -> bool:
    return (
        value.sort == "tensor"
        and is_floating(value.dtype)
        and fraction_bits(value.dtype) < fraction_bits(declared)
    )


def _first_free(graph: Graph) -> int:
    blocks = [graph.block, *graph.callees.values()]
    return max(map(_largest, blocks), default=0) + 1


def _largest(block: Block) -> int:
    inside = [_largest(inner) for one in block.operations for inner in one.blocks]
    results = [value.number for one in block.operations for value in one.results]
    return max([*inside, *results, *(value.number for value in block.inputs)], default=0)
