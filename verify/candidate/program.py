"""A program of MAX compiled, in this process, to be given weights and arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession

from impl.compiling import compile_announced
from impl.log_thread import log_thread_yields
from reference.dtypes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from max.driver import Device
    from max.graph import Module as Program

    from reference.trace import Array

MODEL = "the model, plain and with every place shown"
"""What a candidate's program is called while it is compiled."""


class Bound(Protocol):
    """A compiled program with weights."""

    def run(self, graph: str, arrays: Sequence[Array]) -> list[Array]:
        """What one of its graphs returns for arrays on the host: copies on the host."""


class Compiled(Protocol):
    """A compiled program, here or in another process."""

    def bind(self, weights: Mapping[str, Array]) -> Bound:
        """The program with these weights, which must neither change nor go away."""


class CompiledProgram:
    """Graphs compiled together, to be given weights.

    Args:
        program: every graph has been staged into it.
        device: where they run.
        what: it is, in a few words.
        libraries: Mojo kernels of its custom operations.
        announced: whether it is said that it is compiled, and kept how long that took.
    """

    def __init__(
        self,
        program: Program,
        device: Device,
        what: str = MODEL,
        libraries: Sequence[Path] = (),
        *,
        announced: bool = True,
    ) -> None:
        self._device = device
        self._session = InferenceSession(devices=[device])

        def compile_() -> Any:
            return self._session.compile(program, custom_extensions=list(libraries))

        text = str(program.mlir_module)
        self._compiled = compile_announced(what, text, compile_) if announced else compile_()

    def bind(self, weights: Mapping[str, Array]) -> BoundProgram:
        """The program with these weights, which must neither change nor go away."""
        registry = {name: _registered(array) for name, array in weights.items()}
        models = self._session.init_all(self._compiled, weights_registry=registry)
        return BoundProgram(models, self._device)


class BoundProgram:
    """A compiled program with its weights.

    Args:
        models: every graph by name.
        device: where they run.
    """

    def __init__(self, models: Mapping[str, Any], device: Device) -> None:
        self._models = models
        self._device = device

    def run(self, graph: str, arrays: Sequence[Array]) -> list[Array]:
        """What one of its graphs returns for arrays on the host: copies on the host."""
        buffers = [to_buffer(array).to(self._device) for array in arrays]
        with log_thread_yields(on_host=self._device.is_host):
            results = self._models[graph].execute(*buffers)
        return [to_array(out) for out in results]


def to_buffer(array: Array) -> Buffer:
    """An array for MAX, on the host; bfloat16, which DLPack lacks here, goes as its bits."""
    array = np.ascontiguousarray(array)
    if array.dtype == DTYPES["bfloat16"]:
        return Buffer.from_numpy(array.view(np.uint16)).view(DType.bfloat16)
    return Buffer.from_numpy(array)


def to_array(buffer: Buffer) -> Array:
    """A copy on the host of what MAX computed."""
    host = buffer.to(CPU())
    if host.dtype == DType.bfloat16:
        bits = host.view(DType.uint16).to_numpy()
        return np.array(bits, copy=True).view(DTYPES["bfloat16"])
    return np.array(host.to_numpy(), copy=True)


def _registered(array: Array) -> Array | Buffer:
    """A weight as the registry takes it: an array, or a buffer where NumPy knows no such dtype."""
    return to_buffer(array) if array.dtype == DTYPES["bfloat16"] else array
