"""Small graphs of operations that share their inputs, with what PyTorch or NumPy makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch
from max.dtype import DType
from max.graph import DeviceRef, Graph, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CPU = DeviceRef.CPU()

DTYPES = {
    "f64": DType.float64, "f32": DType.float32, "f16": DType.float16, "bf16": DType.bfloat16,
    "i8": DType.int8, "i16": DType.int16, "i32": DType.int32, "i64": DType.int64,
    "u8": DType.uint8, "u16": DType.uint16, "u32": DType.uint32, "u64": DType.uint64,
    "bool": DType.bool, "f8": DType.float8_e4m3fn, "f8e5": DType.float8_e5m2,
}  # fmt: skip
"""Short names, as MLIR has them."""


def tensor(dtype: str, *shape: Any) -> TensorType:
    """The type of an input."""
    return TensorType(DTYPES[dtype], list(shape), CPU)


@dataclass(frozen=True)
class Family:
    """Graphs of operations on the same inputs.

    Attributes:
        name: of the graph.
        types: of its inputs.
        build: from symbolic tensors, the results by name.
        truth: from arrays, floating-point ones in float64, the same; None is not compared.
        inputs: sets of arrays, in the declared dtypes.
        unlike: names where MAX's compiled result is another one, with what was seen.
        rounding: how far a compiled result may be from the evaluated one, relative to the largest.
    """

    name: str
    types: Sequence[TensorType]
    build: Callable[..., dict[str, Any]]
    truth: Callable[..., dict[str, Any]]
    inputs: Sequence[Sequence[Any]]
    unlike: dict[str, str] = field(default_factory=dict)
    rounding: float = 2e-6

    def stage(self, program: Any) -> list[str]:
        """Add the graph to a program; returns the names of its results."""
        with Graph(self.name, input_types=list(self.types), module=program) as graph:
            made = self.build(*(one.tensor for one in graph.inputs))
            graph.output(*made.values())
        return list(made)


def array_of(value: Any) -> Any:
    """A result of PyTorch, or of anything else, as an array."""
    return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def wide(array: Any) -> Any:
    """An array in float64, if it holds floating-point numbers."""
    floating = array.dtype.kind == "f" or array.dtype.name in ml_dtypes.__dict__
    return array.astype(np.float64) if floating else array


def grid(shapes: Sequence[Sequence[int]], dtype: str = "f32", seed: int = 0) -> list[Any]:
    """Random arrays: normal numbers, or integers around zero, or truth values."""
    rng = np.random.default_rng(seed)
    held = np.dtype(getattr(ml_dtypes, DTYPES[dtype].name, DTYPES[dtype].name))
    made = []
    for shape in shapes:
        if dtype == "bool":
            made.append(rng.random(shape) < 0.5)
        elif dtype.startswith(("i", "u")):
            low = 0 if dtype.startswith("u") else -9
            made.append(rng.integers(low, 10, shape).astype(held))
        else:
            made.append(rng.standard_normal(shape).astype(np.float32).astype(held))
    return made
