"""Small graphs of operations that share their inputs, with what PyTorch or NumPy makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch
from max.driver import Buffer
from max.dtype import DType
from max.graph import BufferType, DeviceRef, Graph, TensorType

from verify.graph.form import is_floating, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CPU = DeviceRef.CPU()

ALL = bool(os.environ.get("ALL_OPERATIONS"))
"""Whether every family is compiled, which takes seven minutes: `ALL_OPERATIONS=1 pytest`."""

DTYPES = {
    "f64": DType.float64, "f32": DType.float32, "f16": DType.float16, "bf16": DType.bfloat16,
    "i8": DType.int8, "i16": DType.int16, "i32": DType.int32, "i64": DType.int64,
    "u8": DType.uint8, "u16": DType.uint16, "u32": DType.uint32, "u64": DType.uint64,
    "bool": DType.bool, "f8": DType.float8_e4m3fn,
}  # fmt: skip
"""Short names, as MLIR has them."""


def tensor(dtype: str, *shape: Any) -> TensorType:
    """The type of an input."""
    return TensorType(DTYPES[dtype], list(shape), CPU)


@dataclass(frozen=True)
class Family:
    """A graph of operations on the same inputs.

    Attributes:
        name: of the graph.
        types: of its inputs.
        build: from symbolic tensors, the results by name.
        truth: from arrays, floating-point ones in float64, the same; what it leaves out is compared
            with the compiled result alone.
        inputs: sets of arrays, in the declared dtypes.
        unlike: names whose compiled result is not what the operation means, with what was seen.
        rounding: how far a compiled result may be from the evaluated one, as `difference` takes it;
            float32's sums of a few hundred terms unless given.
        unit: as `difference` takes it.
        quick: whether the compiled graph is always compared too; the others on demand, since each
            costs seconds to a minute.
    """

    name: str
    types: Sequence[TensorType | BufferType]
    build: Callable[..., dict[str, Any]]
    truth: Callable[..., Mapping[str, Any]]
    inputs: Sequence[Sequence[Any]]
    unlike: Mapping[str, str] = field(default_factory=dict)
    rounding: float = 4e-6
    unit: float | None = None
    quick: bool = False

    @property
    def compiled(self) -> bool:
        """Whether the compiled graph is compared in this run."""
        return self.quick or ALL

    def stage(self, program: Any) -> list[str]:
        """Add the graph to a program; returns the names of its results."""
        with Graph(self.name, input_types=list(self.types), module=program) as graph:
            taken = zip(graph.inputs, self.types, strict=True)
            made = self.build(
                *(one.buffer if isinstance(kind, BufferType) else one.tensor for one, kind in taken)
            )
            graph.output(*made.values())
        return list(made)


def array_of(value: Any) -> Any:
    """What a truth gives, as an array."""
    return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def wide(array: Any) -> Any:
    """An array in float64, if it holds floating-point numbers."""
    return array.astype(np.float64) if is_floating(array.dtype.name) else array


def grid(shapes: Sequence[Sequence[int]], dtype: str = "f32", seed: int = 0) -> list[Any]:
    """Random arrays: normal numbers, integers around zero, or truth values."""
    rng = np.random.default_rng(seed)
    held = numpy_dtype(DTYPES[dtype].name)
    made = []
    for shape in shapes:
        if dtype == "bool":
            made.append(rng.random(shape) < 0.5)
        elif dtype.startswith(("i", "u")):
            made.append(rng.integers(0 if dtype[0] == "u" else -9, 10, shape).astype(held))
        else:
            made.append(rng.standard_normal(shape).astype(np.float32).astype(held))
    return made


def difference(found: Any, expected: Any, rounding: float, unit: float | None = None) -> str:
    """How two arrays differ beyond rounding; empty if they agree.

    Args:
        found: an array.
        expected: what it should be.
        rounding: what is allowed of each number, or of the unit where that is larger.
        unit: the largest number unless given.
    """
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    a, b = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    odd = ~finite & ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if odd.any():
        return f"{a[odd][0]} where {b[odd][0]} is meant, at {np.argwhere(odd)[0].tolist()}"
    a, b = a[finite], b[finite]
    unit = np.abs(b).max(initial=0.0) if unit is None else unit
    over = np.abs(a - b) > rounding * np.maximum(np.abs(b), unit)
    return f"{a[over][0]} where {b[over][0]} is meant" if over.any() else ""


def to_buffer(array: Any) -> Buffer:
    """An array as MAX takes it, whatever its dtype, in memory of its own: MAX may write there."""
    array = np.array(array, order="C")
    if array.dtype.name in np.sctypeDict and array.dtype.name not in vars(ml_dtypes):
        return Buffer.from_numpy(array)
    integers = {1: np.uint8, 2: np.uint16}[array.dtype.itemsize]
    return Buffer.from_numpy(array.view(integers)).view(DType[array.dtype.name])


def to_array(buffer: Buffer) -> Any:
    """A result of MAX as an array, whatever its dtype."""
    held = numpy_dtype(buffer.dtype.name)
    if held.name in np.sctypeDict and held.name not in vars(ml_dtypes):
        return np.array(buffer.to_numpy())
    integers = {1: DType.uint8, 2: DType.uint16}[held.itemsize]
    return np.array(buffer.view(integers).to_numpy()).view(held)
