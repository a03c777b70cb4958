"""From MAX's staged graphs to `form`: the one file that touches MAX's private classes.

A staged program is an MLIR module. A copy of it is lowered by MAX's own pass from the operations of
the Python API (`rmo`, which broadcast and promote) to the elementary ones (`mo`), and then read as
any MLIR is: kinds, operands, results, attributes, blocks. Nothing here knows what an operation
means, so that one that MAX adds is read like the others, and refused by name where it is evaluated.

What is private, and checked by tests/verify/graph/test_adapter.py against each new version:

- `max._core.lower`, `max._core.dialects.rmo.passes.LegalizeRMOOps`: the lowering
- `max._core.graph.source_locations_bytecode`: the module with the places in the source
- `max._core.graph._buffer_from_constant_attr`: the bytes of a constant
- `max._core.Attribute._from_cmlir`, `max._core.Type._from_cmlir`: typed attributes and types
- `max._core.dialects`: `mosh.ShapeAttr`, `mosh.ShapeType`, `m.ArrayElementsAttr`, `m.DeviceRefAttr`
- `max._core.dialects.builtin.ModuleOp.from_bytecode`: a program from another process
- `max.graph.Graph.module`, `max.graph.Module.mlir_module`, `max.graph.AlgebraicDim.attr`
- `max.graph.ops.constant.index`, `max.graph.ops.rms_norm._float32_attr`: see `noting`
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import max.graph
import numpy as np
from max import _core, mlir
from max._core.dialects import builtin, m, mosh, rmo
from max.driver import CPU
from max.dtype import DType

from verify.graph.errors import GraphError
from verify.graph.form import (
    Block,
    Compound,
    Graph,
    Operation,
    Place,
    Size,
    Sort,
    Value,
    is_floating,
    numpy_dtype,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.trace import Array

TERMINATORS = ("mo.output", "mo.yield", "mo.while.condition")
"""Operations that end a block: their operands are what the block returns."""

BOOKKEEPING = ("kgen.param.declare",)
"""Checks of sizes that MAX adds when it lowers. `evaluate` checks every result's shape itself."""

LONGEST_LITERAL = 1024
"""Larger constants are arrays, which are what they are; numbers are written one by one."""

OF_NO_MEANING = {"outputParamDecls", "align", "device", "hasAlias"}
"""Attributes that decide neither a value nor a shape."""

OWN_FOLDERS = tuple(f"{Path(file).parents[1]}/" for file in (max.graph.__file__, __file__))
"""Frames in MAX and in this package do not tell where a user's operation was made."""

LAYOUT = re.compile(r"#mo\.layout<(\w+)>")
"""In the type of a convolution's filter."""


@dataclass(slots=True)
class Notes:
    """What is known of staged graphs beside what they hold.

    Attributes:
        scalars: every floating-point number that became a constant, as it was before MAX rounded
            it to the constant's dtype.
    """

    scalars: set[float] = field(default_factory=set)


@contextmanager
def noting(*, places: bool = True) -> Iterator[Notes]:
    """Graphs that are staged in this context can be read with what MAX does not keep of them.

    A number in a model, such as `1 / math.sqrt(32)`, is rounded to float32 when it becomes a
    constant. In float64 that rounding would be all that is seen of a correct model, so the number
    itself is noted and `read` gives it back. With the places, every operation remembers the lines
    that made it (0.2 ms each): leave them out where a program is staged to be compiled.

    Args:
        places: whether places in the source are kept.
    """
    notes = Notes()
    literals: Any = importlib.import_module("max.graph.ops.constant")
    norms: Any = importlib.import_module("max.graph.ops.rms_norm")
    customs: Any = importlib.import_module("max.graph.ops.custom")
    element, attribute = literals.index, norms._float32_attr
    debug, before = max.graph.Graph.debug, max.graph.Graph.debug.source_tracebacks

    def noted_element(literal: Any, index: Any) -> Any:
        return _note(notes, element(literal, index))

    def noted_attribute(value: float) -> Any:
        return attribute(_note(notes, value))

    literals.index = noted_element
    norms._float32_attr = customs._float32_attr = noted_attribute
    debug.source_tracebacks = places
    try:
        yield notes
    finally:
        literals.index = element
        norms._float32_attr = customs._float32_attr = attribute
        debug.source_tracebacks = before


def _note(notes: Notes, number: Any) -> Any:
    if isinstance(number, float | np.floating):
        notes.scalars.add(float(number))
    return number


@dataclass(frozen=True, slots=True)
class Noted:
    """A staged program as plain data, which one process can give to another.

    Attributes:
        bytecode: the program, as MLIR writes it.
        scalars: what was noted while it was staged.
    """

    bytecode: bytes
    scalars: tuple[float, ...] = ()

    @classmethod
    def of(cls, program: Any, notes: Notes, *, places: bool = True) -> Noted:
        """A program as it was staged.

        Args:
            program: a `max.graph.Module`.
            notes: of the context that it was staged in.
            places: whether the places that its operations know are kept.
        """
        module = program.mlir_module
        bytecode = _core.graph.source_locations_bytecode(module) if places else module.bytecode
        return cls(bytecode, tuple(sorted(notes.scalars)))

    def program(self) -> max.graph.Module:
        """The program anew.

        Raises:
            GraphError: if MAX cannot read it.
        """
        context = max.graph.Module().mlir_module.context
        try:
            return max.graph.Module(builtin.ModuleOp.from_bytecode(self.bytecode, context))
        except (RuntimeError, TypeError, ValueError) as error:
            raise GraphError(f"MAX cannot read the staged program: {error}") from error

    def read(self) -> list[Graph]:
        """Its graphs, as `read` gives them."""
        return read(self.program(), Notes(set(self.scalars)))


def read(program: Any, notes: Notes | None = None) -> list[Graph]:
    """Every graph of a program that is not merely called by another, in the order of staging.

    Args:
        program: a `max.graph.Module` or a `max.graph.Graph`; it stays as it is.
        notes: of the context that it was staged in.

    Raises:
        GraphError: if MAX cannot lower it.
    """
    module = _lowered(program)
    reader = _Reader(notes or Notes())
    blocks: dict[str, Block] = {}
    called: dict[str, Block] = {}
    for top in module.body.operations:
        attributes = dict(top.operation.attributes)
        kept = called if "isSubgraph" in attributes else blocks
        kept[attributes["sym_name"].value] = reader.block(top.operation.regions[0])
    version = importlib.metadata.version("max")
    return [Graph(name, block, called, version) for name, block in blocks.items()]


def _lowered(program: Any) -> Any:
    """A copy of the program's module in elementary operations, as `max.mlir` sees it."""
    whole = program.module if isinstance(program, max.graph.Graph) else program
    module = whole.mlir_module.clone()
    try:
        _core.lower(module, [rmo.passes.LegalizeRMOOps()])
    except (RuntimeError, TypeError, ValueError) as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise GraphError(f"MAX cannot lower the graph: {why[-1].strip()}") from error
    return mlir.Module.parse(_core.graph.source_locations_bytecode(module), module.context)


class _Reader:
    """Reads the blocks of one module; values are numbered across all of them."""

    def __init__(self, notes: Notes) -> None:
        self.exact = _Exact(notes.scalars)
        self.types: dict[str, Value] = {}
        self.numbers: dict[Any, int] = {}
        self.layouts: dict[int, str] = {}

    def block(self, region: Any) -> Block:
        (body,) = region.blocks
        inputs = tuple(self.define(argument) for argument in body.arguments)
        operations: list[Operation] = []
        outputs: tuple[int, ...] = ()
        for each in body.operations:
            operation = each.operation
            if operation.name in TERMINATORS:
                outputs = self.operands(operation)
            elif operation.name not in BOOKKEEPING:
                operations.append(self.operation(operation))
        return Block(inputs, tuple(operations), outputs)

    def operation(self, operation: Any) -> Operation:
        operands = self.operands(operation)
        blocks = tuple(self.block(region) for region in operation.regions)
        results = tuple(self.define(result) for result in operation.results)
        return Operation(
            kind=operation.name,
            operands=operands,
            results=results,
            attributes=self.attributes(operation, results),
            blocks=blocks,
            place=_place(str(operation.location)),
        )

    def operands(self, operation: Any) -> tuple[int, ...]:
        return tuple(self.numbers[value] for value in operation.operands)

    def define(self, value: Any) -> Value:
        number = self.numbers[value] = len(self.numbers)
        text = str(value.type)
        if text not in self.types:
            self.types[text] = _declared(value.type)
        if layout := LAYOUT.search(text):
            self.layouts[number] = layout[1]
        kind = self.types[text]
        return Value(number, kind.sort, kind.dtype, kind.shape)

    def attributes(self, operation: Any, results: tuple[Value, ...]) -> dict[str, Any]:
        made = {
            name: _plain(attribute, results[0] if operation.name == "mo.constant" else None)
            for name, attribute in dict(operation.attributes).items()
            if name not in OF_NO_MEANING
        }
        exact = self.exact_of(made)
        layouts = tuple(self.layouts.get(number, "") for number in self.operands(operation))
        made |= {"layouts": layouts} if any(layouts) else {}
        return {**made, "exact": exact} if exact else made

    def exact_of(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What was rounded among attributes, as it was before; a custom operation's parameters too.

        A dictionary of which a part was rounded is given as a whole.
        """
        found: dict[str, Any] = {}
        for name, value in attributes.items():
            if isinstance(value, np.ndarray) and (numbers := self.exact(value)) is not None:
                found[name] = numbers
            if isinstance(value, dict) and (inner := self.exact_of(value)):
                found[name] = {**value, **inner}
        return found


class _Exact:
    """Finds the numbers that a constant was made of before it was rounded."""

    def __init__(self, scalars: set[float]) -> None:
        self.scalars = scalars
        self.by_dtype: dict[str, dict[float, set[float]]] = {}

    def __call__(self, array: Array) -> Array | None:
        """The float64 numbers, if all are known and any is another than the array's; else None."""
        if not is_floating(array.dtype.name) or array.size > LONGEST_LITERAL:
            return None
        known = self.rounded(array.dtype.name)
        found = [known.get(float(number), set()) for number in array.ravel()]
        if any(len(numbers) != 1 for numbers in found):
            return None
        exact = np.array([next(iter(one)) for one in found], np.float64).reshape(array.shape)
        return None if np.array_equal(exact, array.astype(np.float64)) else exact

    def rounded(self, dtype: str) -> dict[float, set[float]]:
        """The noted numbers by what they are in a dtype."""
        if dtype not in self.by_dtype:
            known: dict[float, set[float]] = {}
            for number in self.scalars:
                for held in _held(number, dtype):
                    known.setdefault(held, set()).add(number)
            self.by_dtype[dtype] = known
        return self.by_dtype[dtype]


def _held(number: float, dtype: str) -> set[float]:
    """What a number may be as a constant: the nearest; MAX 26.7 cuts bfloat16 off instead."""
    with np.errstate(over="ignore"):
        held = {float(np.float64(number).astype(numpy_dtype(dtype)))}
        if dtype == "bfloat16":
            bits = np.float32(number).view(np.uint32) & np.uint32(0xFFFF0000)
            held.add(float(bits.view(np.float32)))
    return held


def _declared(kind: Any) -> Value:
    """What a type says of a value, as a value without a number of its own."""
    typed = _core.Type._from_cmlir(kind)
    if isinstance(typed, mosh.ShapeType):
        return Value(-1, "shape")
    try:
        declared = max.graph.Type.from_mlir(typed)
    except (TypeError, ValueError):
        return Value(-1, "other")
    if isinstance(declared, max.graph.BufferType | max.graph.TensorType):
        sort: Sort = "buffer" if isinstance(declared, max.graph.BufferType) else "tensor"
        shape = tuple(_size(dim) for dim in declared.shape)
        return Value(-1, sort, declared.dtype.name, shape)
    return Value(-1, "chain" if "chain" in str(kind) else "other")


def _size(dim: Any) -> Size:
    if isinstance(dim, max.graph.StaticDim):
        return int(dim)
    if isinstance(dim, max.graph.SymbolicDim):
        return str(dim.name)
    operands = tuple(_size(max.graph.Dim(operand)) for operand in dim.attr.operands)
    return Compound(dim.attr.opcode.name.rstrip("_"), operands)


def _plain(attribute: Any, constant: Value | None) -> Any:
    """An attribute as a Python value; text where nothing better is known.

    Args:
        attribute: as `max.mlir` sees it.
        constant: what the operation declares of its result, where the attribute is its value.
    """
    if isinstance(attribute, mlir.ArrayAttr):
        return tuple(_plain(one, None) for one in attribute)
    if isinstance(attribute, mlir.DictAttr):
        return {one.name: _plain(one.attr, None) for one in attribute}
    if isinstance(attribute, mlir.BoolAttr | mlir.IntegerAttr | mlir.StringAttr):
        return attribute.value
    return _typed(_core.Attribute._from_cmlir(attribute), str(attribute), constant)


def _typed(attribute: Any, text: str, constant: Value | None) -> Any:
    if isinstance(attribute, m.ArrayElementsAttr):
        dtype, shape = _elements(attribute) if constant is None else _of(constant)
        return _array(attribute, dtype, shape)
    if isinstance(attribute, mosh.ShapeAttr):
        return tuple(_size(dim) for dim in max.graph.Shape.from_mlir(attribute))
    try:
        return _size(max.graph.Dim.from_mlir(attribute))
    except (TypeError, ValueError, AttributeError):
        return True if text == "unit" else text.removeprefix("@")


ELEMENTS = {
    "i1": DType.bool,
    "f16": DType.float16,
    "bf16": DType.bfloat16,
    "f32": DType.float32,
    "f64": DType.float64,
    **{f"si{bits}": getattr(DType, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"ui{bits}": getattr(DType, f"uint{bits}") for bits in (8, 16, 32, 64)},
}
"""MLIR's names of the elements of array attributes."""


def _elements(attribute: Any) -> tuple[DType, tuple[int, ...]]:
    """Dtype and shape of an array attribute: `tensor<2x3xf32>`, `tensor<f32>`."""
    kind = re.search(r"<((?:\d+x)*)(\w+)>", attribute.type.asm)
    if kind is None or kind[2] not in ELEMENTS:
        raise GraphError(f"a constant of the type {attribute.type.asm} cannot be read")
    return ELEMENTS[kind[2]], tuple(int(size) for size in kind[1].split("x") if size)


def _of(constant: Value) -> tuple[DType, tuple[int, ...]]:
    shape = tuple(size for size in constant.shape or () if isinstance(size, int))
    return DType[constant.dtype], shape


def _array(attribute: Any, dtype: DType, shape: Sequence[int]) -> Array:
    """The elements of an array attribute, not to be written to."""
    sizes = list(shape) or [1]  # a buffer without an axis cannot be viewed as integers
    buffer = _core.graph._buffer_from_constant_attr(attribute, dtype, sizes, CPU())
    held = numpy_dtype(dtype.name)
    if held.kind == "V" or held.name not in np.sctypeDict:  # a dtype that NumPy knows from outside
        integer = {1: DType.uint8, 2: DType.uint16}[held.itemsize]
        array = np.array(buffer.view(integer).to_numpy()).view(held)
    else:
        array = np.array(buffer.to_numpy())
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


FRAME = re.compile(r"(?P<file>.*?)\\22, line (?P<line>\d+), in .*?\\0A +(?P<code>.*?)\\0A")
"""A frame of a traceback as MLIR prints it, after `File "`: its quotes and ends of line are
escaped."""


def _place(location: str) -> Place | None:
    """The innermost frame of a location that is the user's own."""
    for text in reversed(location.split("File \\22")[1:]):
        frame = None if text.startswith(OWN_FOLDERS) else FRAME.match(text)
        if frame:
            return Place(frame["file"], int(frame["line"]), frame["code"])
    return None
