"""A MAX graph in a small form of our own: plain Python and NumPy, without MAX.

A graph is a list of operations in the order in which they run. Each operation takes values by their
numbers and defines new ones; nothing is changed in place but buffers, whose operations stand in
their order. Everything is immutable and picklable: an edit is a new object that shares the rest
(`dataclasses.replace`, `Graph.with_operations`).

    size        3, "sequence", Compound("add", ("past", "sequence"))
    value       number, sort, dtype, shape
    operation   kind ("mo.add"), operands, results, attributes, blocks
    block       inputs, operations, outputs (what the terminator returns)
    graph       name, block, and the graphs that it calls
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import ml_dtypes
import numpy as np

from verify.graph.errors import UnresolvedSizeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reference.trace import Array

Sort = Literal["tensor", "buffer", "chain", "shape", "other"]
"""What a value is: `tensor` an array, `buffer` one that can be written, `chain` the order of
writes, `shape` a list of sizes, `other` anything else."""

ARITHMETIC: dict[str, Callable[..., int]] = {
    "add": lambda *sizes: sum(sizes),
    "mul": lambda *sizes: math.prod(sizes),
    "mul_no_wrap": lambda *sizes: math.prod(sizes),
    "div": lambda a, b: a // b,
    "div_s": lambda a, b: int(math.copysign(abs(a) // abs(b), a * b)),
    "div_u": lambda a, b: a // b,
    "floor_div_s": lambda a, b: a // b,
    "ceil_div_s": lambda a, b: -(-a // b),
    "ceil_div_u": lambda a, b: -(-a // b),
    "mod": lambda a, b: a % b,
    "rem_s": math.fmod,  # type: ignore[dict-item]
    "rem_u": lambda a, b: a % b,
    "max": max,
    "min": min,
}
"""What the operators of size expressions compute."""


@dataclass(frozen=True, slots=True)
class Compound:
    """An expression of sizes.

    Attributes:
        operator: a key of `ARITHMETIC`; an unknown one fails when it is resolved.
        operands: sizes.
    """

    operator: str
    operands: tuple[Size, ...]

    def __str__(self) -> str:
        signs = {"add": " + ", "mul": " * ", "mul_no_wrap": " * ", "div": " // "}
        if self.operator in signs:
            return "(" + signs[self.operator].join(map(str, self.operands)) + ")"
        return f"{self.operator}({', '.join(map(str, self.operands))})"


Size = int | str | Compound
"""A dimension: a number, a symbol, or an expression of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the source an operation was made.

    Attributes:
        file: its path.
        line: counted from 1.
        code: what stands there.
    """

    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line}"


def resolved(size: Size, sizes: Mapping[str, int]) -> int:
    """The number that a size is.

    Raises:
        UnresolvedSizeError: for a symbol without a number, or an operator that is not known.
    """
    if isinstance(size, int):
        return size
    if isinstance(size, str):
        if size not in sizes:
            raise UnresolvedSizeError(f"the size {size} is not given by any input")
        return sizes[size]
    if size.operator not in ARITHMETIC:
        raise UnresolvedSizeError(f"the size {size} uses {size.operator}, which is not known")
    return int(ARITHMETIC[size.operator](*(resolved(one, sizes) for one in size.operands)))


@dataclass(frozen=True, slots=True)
class Value:
    """What an operation defines, or a graph takes.

    Attributes:
        number: unique within its graph.
        sort: see `Sort`.
        dtype: NumPy's or ml_dtypes' name; empty where there is none.
        shape: its sizes; None where the graph does not even tell how many.
    """

    number: int
    sort: Sort = "tensor"
    dtype: str = ""
    shape: tuple[Size, ...] | None = ()

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join(map(str, self.shape))
        return f"{self.dtype}[{sizes}]" if self.sort in ("tensor", "buffer") else self.sort


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One step. Equal only to itself.

    Attributes:
        kind: MAX's own name, such as `mo.add`.
        operands: numbers of the values that it takes.
        results: the values that it defines.
        attributes: plain Python values, sizes, or arrays that must not be written to.
        blocks: the bodies of control flow.
        place: where it was made; None where that is not known.
    """

    kind: str
    operands: tuple[int, ...] = ()
    results: tuple[Value, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A list of operations with what goes in and out.

    Attributes:
        inputs: values.
        operations: in the order in which they run.
        outputs: numbers of values.
    """

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A whole graph. Equal only to itself; see `same`.

    Attributes:
        name: unique within a program.
        block: what it computes.
        callees: what its operations call (`mo.call`), by name.
        version: of the MAX that it was read from.
    """

    name: str
    block: Block
    callees: Mapping[str, Block] = field(default_factory=dict)
    version: str = ""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that it takes, buffers among them."""
        return self.block.inputs

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Its outermost operations, in the order in which they run."""
        return self.block.operations

    @property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of the values that it returns."""
        return self.block.outputs

    def values(self) -> dict[int, Value]:
        """Every value by its number: inputs, results, and what the blocks inside define."""
        return {value.number: value for value in _defined(self.block)}

    def with_operations(
        self, operations: Iterable[Operation], outputs: tuple[int, ...] | None = None
    ) -> Graph:
        """The same graph with other outermost operations, and other outputs if given."""
        outputs = self.outputs if outputs is None else outputs
        return replace(
            self, block=replace(self.block, operations=tuple(operations), outputs=outputs)
        )


def _defined(block: Block) -> Iterator[Value]:
    yield from block.inputs
    for operation in block.operations:
        yield from operation.results
        for inner in operation.blocks:
            yield from _defined(inner)


def is_floating(dtype: str) -> bool:
    """Whether a dtype holds floating-point numbers, those of 16 and fewer bits included."""
    return dtype.startswith(("float", "bfloat"))


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of a name, `bfloat16` and `float8_e4m3fn` included."""
    return np.dtype(getattr(ml_dtypes, name, name))


def walk(block: Block) -> Iterator[Operation]:
    """Every operation of a block, those of blocks inside it after their own."""
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from walk(inner)


def weight_names(graph: Graph, prefix: str = "") -> dict[str, Value]:
    """The weights that a graph reads, by name, each with what it is declared as.

    Args:
        graph: the graph.
        prefix: begins the names of its placeholders.
    """
    return _weights_of(graph.block, graph, prefix)


def _weights_of(block: Block, graph: Graph, prefix: str) -> dict[str, Value]:
    names: dict[str, Value] = {}
    for operation in walk(block):
        attributes = operation.attributes
        if operation.kind == "mo.constant.external":
            names[weight_name(operation, prefix)] = operation.results[0]
        if operation.kind == "mo.call":
            callee = graph.callees[attributes["callee"]]
            names |= _weights_of(callee, graph, prefix + attributes.get("prefix", ""))
    return names


def weight_name(operation: Operation, prefix: str) -> str:
    """The name of the weight that a `mo.constant.external` reads.

    Args:
        operation: it.
        prefix: of the call that it is reached by; a weight that is no placeholder ignores it.
    """
    name: str = operation.attributes["name"]
    return prefix + name if operation.attributes.get("isPlaceholder") else name


def kinds(graph: Graph) -> dict[str, int]:
    """How often each kind of operation occurs, in what the graph calls too."""
    counts: dict[str, int] = {}
    for block in (graph.block, *graph.callees.values()):
        for operation in walk(block):
            counts[operation.kind] = counts.get(operation.kind, 0) + 1
    return dict(sorted(counts.items()))


def same(a: Graph, b: Graph) -> bool:
    """Whether two graphs are the same but for the numbers of their values and their places."""
    return fingerprint(a) == fingerprint(b)


def fingerprint(graph: Graph) -> str:
    """A hash of what a graph computes as it is written, the same in every process."""
    return hashlib.sha256(show(graph, places=False, digests=True).encode()).hexdigest()


def show(graph: Graph, *, places: bool = True, digests: bool = False) -> str:
    """The graph as a listing, one operation a line, values numbered in their order.

    Args:
        graph: what to show.
        places: ends each line with the place in the source, where it is known.
        digests: shows arrays by a hash of their bytes, which tells any two apart.
    """
    blocks = {graph.name: graph.block, **dict(sorted(graph.callees.items()))}
    return "".join(
        _Listing(places=places, digests=digests).whole(name, block)
        for name, block in blocks.items()
    )


class _Listing:
    """Lines of a listing; numbers values anew."""

    def __init__(self, *, places: bool, digests: bool) -> None:
        self.names: dict[int, str] = {}
        self.places = places
        self.digests = digests

    def define(self, value: Value) -> str:
        return self.names.setdefault(value.number, f"%{len(self.names)}")

    def whole(self, name: str, block: Block) -> str:
        taken = ", ".join(f"{self.define(value)}: {value}" for value in block.inputs)
        return f"{name}({taken})\n" + "".join(f"  {line}\n" for line in self.lines(block))

    def lines(self, block: Block) -> Iterator[str]:
        for operation in block.operations:
            yield self.line(operation)
            for inner in operation.blocks:
                taken = ", ".join(f"{self.define(one)}: {one}" for one in inner.inputs)
                yield f"  ({taken})"
                yield from (f"  {line}" for line in self.lines(inner))
        yield "return " + ", ".join(self.names[number] for number in block.outputs)

    def line(self, operation: Operation) -> str:
        taken = ", ".join(self.names.get(one, f"%?{one}") for one in operation.operands)
        results = ", ".join(f"{self.define(one)}: {one}" for one in operation.results)
        shown = [f"{k}={self.attribute(v)}" for k, v in sorted(operation.attributes.items())]
        text = f"{results} = " if results else ""
        text += f"{operation.kind}({', '.join(filter(None, [taken, *shown]))})"
        return f"{text}  # {operation.place}" if self.places and operation.place else text

    def attribute(self, value: Any) -> str:
        if isinstance(value, np.ndarray):
            return _shown(value, digest=self.digests)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k}: {self.attribute(v)}" for k, v in value.items()) + "}"
        if isinstance(value, tuple):
            return "[" + ", ".join(map(self.attribute, value)) + "]"
        return str(value) if isinstance(value, Compound) else repr(value)


SHOWN_ELEMENTS = 8
"""How many elements of a constant a listing shows."""


def _shown(array: Array, *, digest: bool) -> str:
    if digest:
        data = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return f"{array.dtype}{list(array.shape)}:{data}"
    if array.size <= SHOWN_ELEMENTS:
        return f"{array.dtype} {array.tolist()}"
    return f"{array.dtype}{list(array.shape)}"
