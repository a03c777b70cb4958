"""Evaluates a graph in NumPy: what it means, without a compiler.

    (graph,) = read(program, notes)
    logits = evaluate(graph, [ids], weights).outputs[0]

In float64 the result is the graph's mathematics; at the declared precision every value has the
dtype that the graph gives it, each operation computed in float32 at least and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from verify.graph.errors import (
    GraphError,
    ShapeError,
    UnresolvedSizeError,
)
from verify.graph.footprint import check_footprint
from verify.graph.form import (
    Block,
    Graph,
    Operation,
    Value,
    is_floating,
    numpy_dtype,
    resolved,
)
from verify.graph.operations.buffers import Cell
from verify.graph.schedule import scheduled
from verify.graph.scope import Precision, Scope, working_dtype
from verify.graph.understood import at, meaning_of, refusal
from verify.graph.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from reference.trace import Array

NARROW = frozenset(
    map(numpy_dtype, ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"))
) | frozenset(map(numpy_dtype, ("float8_e5m2fnuz", "float8_e8m0fnu")))
"""Dtypes of 16 and fewer bits: operations take such numbers as float32."""


SHARE = 0.8
"""Of the memory that is free: what an evaluation may take."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a graph came to. Its arrays may share memory with inputs and weights: do not write.

    Attributes:
        outputs: in the graph's order.
        buffers: what each buffer among the inputs holds at the end, by its position.
        kept: the values that were asked for, by number.
    """

    outputs: tuple[Array, ...]
    buffers: Mapping[int, Array]
    kept: Mapping[int, Array]


def evaluate(
    graph: Graph,
    inputs: Sequence[Array],
    weights: Weights | Mapping[str, Array] | None = None,
    precision: Precision = "float64",
    *,
    keep: Collection[int] = (),
    limit: int | None = None,
) -> Evaluated:
    """Evaluate a graph on arrays, none of which is written to.

    Args:
        graph: what `adapter.read` returned, or an edit of it.
        inputs: one array for each input; for a buffer, what it holds at first.
        weights: by name. `Weights`, kept by the caller, are widened to float64 once for all
            evaluations; a plain mapping is widened for this one alone.
        precision: see `Precision`.
        keep: numbers of outermost values that are returned besides.
        limit: bytes that may be taken; None for `SHARE` of what is free on this machine.

    Raises:
        UnknownOperationError, RandomOperationError: see `understood.refusal`.
        ShapeError: where a shape or a dtype is not what the graph declares.
        UnresolvedSizeError: for a size that no input gives.
        TooLargeError: if it would take more than the limit, before anything is computed.
        GraphError: for a number of inputs that does not fit, or an operation that fails.
    """
    if len(inputs) != len(graph.inputs):
        raise GraphError(f"{graph.name} takes {len(graph.inputs)} inputs, not {len(inputs)}")
    kept = frozenset(keep)
    if (why := refusal(graph, kept)) is not None:
        raise why
    held = weights if isinstance(weights, Weights) else Weights(weights or {})
    run = _Run(graph, held, precision, {}, "")
    may = int(SHARE * psutil.virtual_memory().available) if limit is None else limit
    shapes = tuple(array.shape for array in inputs)
    check_footprint(graph, shapes, held, precision, kept, may)
    given = [run.given(index, array) for index, array in enumerate(inputs)]
    with np.errstate(all="ignore"):
        outputs = run.whole(graph.block, given, kept)
    cells = {i: cell.load() for i, cell in enumerate(given) if isinstance(cell, Cell)}
    return Evaluated(tuple(outputs), cells, run.kept)


class _Run:
    """One evaluation of a graph, or of a callee.

    Args:
        graph: the whole graph.
        weights: all of them.
        precision: as in `evaluate`.
        sizes: what each symbol is; grows while the graph is evaluated.
        prefix: of the names of placeholders.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        precision: Precision,
        sizes: dict[str, int],
        prefix: str,
    ) -> None:
        self.graph = graph
        self.weights = weights
        self.precision = precision
        self.sizes = sizes
        self.prefix = prefix
        self.values: dict[int, Any] = {}
        self.kept: dict[int, Array] = {}

    def given(self, index: int, array: Array) -> Any:
        """An input as the graph takes it: widened, checked, and a buffer in a cell of its own."""
        declared = self.graph.inputs[index]
        dtype = working_dtype(declared.dtype, self.precision)
        loose = self.precision == "float64" and is_floating(declared.dtype)
        if array.dtype != dtype and not (loose and is_floating(array.dtype.name)):
            raise ShapeError(
                f"input {index} is {array.dtype}{list(array.shape)}, "
                f"and the graph declares {declared}"
            )
        self.check(declared, array.shape, f"input {index}")
        widened = array.astype(dtype, copy=False)
        return Cell(widened) if declared.sort == "buffer" else widened

    def whole(self, block: Block, given: Sequence[Any], keep: frozenset[int]) -> list[Any]:
        """Evaluate an outermost block; what nobody reads any more is freed."""
        schedule = scheduled(self.graph, block, keep)
        self.define(block.inputs, given)
        for operation, finished in zip(schedule.operations, schedule.last_read, strict=True):
            self.operation(operation)
            for value in operation.results if keep else ():
                if value.number in keep:
                    self.kept[value.number] = self.values[value.number]
            for number in finished:
                del self.values[number]
        return [self.values[number] for number in block.outputs]

    def inner(self, block: Block, given: Sequence[Any]) -> list[Any]:
        """Evaluate a block inside an operation: it sees what is defined around it."""
        self.define(block.inputs, given)
        for operation in block.operations:
            self.operation(operation)
        return [self.values[number] for number in block.outputs]

    def called(self, callee: str, prefix: str, given: Sequence[Any]) -> list[Any]:
        """Evaluate a callee: it has values and sizes of its own."""
        run = _Run(self.graph, self.weights, self.precision, {}, self.prefix + prefix)
        return run.whole(self.graph.callees[callee], given, frozenset())

    def operation(self, operation: Operation) -> None:
        """Evaluate one operation, and define what it returns."""
        scope = Scope(
            operation,
            self.sizes,
            self.precision,
            self.weights,
            self.prefix,
            self.inner,
            self.called,
        )
        operands = [self.values[number] for number in operation.operands]
        if self.precision == "declared":
            operands = [_widened(operand) for operand in operands]
        meaning = meaning_of(operation)
        assert meaning is not None  # `refusal` was asked first
        try:
            returned = meaning(scope, *operands)
        except GraphError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise GraphError(f"{operation.kind}{at(operation)} fails: {error}") from error
        several = returned if isinstance(returned, tuple) else (returned,)
        self.define(operation.results, several, operation)

    def define(
        self, values: Sequence[Value], arrays: Sequence[Any], operation: Operation | None = None
    ) -> None:
        """Bind values to arrays, rounded to their dtypes, once their shapes are as declared."""
        for value, array in zip(values, arrays, strict=operation is None or bool(values)):
            if isinstance(array, np.ndarray | np.generic):
                name = f"{operation.kind}{at(operation)}" if operation else "a block"
                self.check(value, array.shape, name)
                dtype = working_dtype(value.dtype, self.precision) if value.dtype else array.dtype
                array = np.asarray(array).astype(dtype, copy=False)
            self.values[value.number] = array

    def check(self, value: Value, shape: tuple[int, ...], name: str) -> None:
        """Compare a shape with what is declared; a symbol that has no number yet takes this one.

        Raises:
            ShapeError: if it is another.
        """
        declared = value.shape
        if declared is None or value.sort not in ("tensor", "buffer"):
            return
        if len(declared) == len(shape) and all(map(self.fits, declared, shape)):
            return
        known = ", ".join(f"{symbol} = {number}" for symbol, number in self.sizes.items())
        raise ShapeError(
            f"{name} gives the shape {list(shape)}, and the graph declares {value}"
            + (f" with {known}" if known else "")
        )

    def fits(self, size: Any, number: int) -> bool:
        """Whether a declared size is this number."""
        if isinstance(size, int):
            return size == number
        if isinstance(size, str):
            return self.sizes.setdefault(size, number) == number
        try:
            return resolved(size, self.sizes) == number
        except UnresolvedSizeError:
            return True


def _widened(operand: Any) -> Any:
    if isinstance(operand, np.ndarray) and operand.dtype in NARROW:
        return operand.astype(np.float32)
    return operand
