"""The most multiply-adds that a CPU's cores do in a second, from registers (kernels/peak.mojo).

Libraries' products are no ceiling: PyTorch's reached 202 GFLOP/s on two cores where another's
reached 303 and the cores themselves do 470.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef, Graph, TensorType, ops

from impl.log_thread import log_thread_yields
from impl.precompile import KernelError, kernel_library
from reports.saved.environment import usable_cpus

SOURCE = Path(__file__).parent / "kernels"
STEPS = 1 << 18
"""Multiply-adds of each chain in a call: about a millisecond."""


class Peak:
    """A program that multiplies and adds on every CPU that this process may use.

    Raises:
        impl.precompile.KernelError: where the kernel does not build.
    """

    def __init__(self) -> None:
        tasks = len(usable_cpus())
        library, cpu = kernel_library(SOURCE, "peak_kernels"), DeviceRef.CPU()
        types = [TensorType(DType.float32, [2], cpu), TensorType(DType.int64, [1], cpu)]
        done = TensorType(DType.float32, [tasks], cpu)
        with Graph("peak", input_types=types, custom_extensions=[library]) as graph:
            values = list(graph.inputs)
            graph.output(*ops.custom("peak_multiply_adds", cpu, values, [done]))
        try:
            session = InferenceSession(devices=[CPU()])
            self._model = session.load(graph)
        except Exception as error:  # MAX raises its own types for what the compiler refuses
            raise KernelError(f"MAX does not compile the kernel: {error}") from error
        ones, steps = np.ones(2, np.float32), np.full(1, STEPS, np.int64)
        self._inputs = [Buffer.from_numpy(ones), Buffer.from_numpy(steps)]

    def __call__(self) -> float:
        """Compute for about a millisecond; how many floating-point operations that were."""
        with log_thread_yields():
            (done,) = self._model.execute(*self._inputs)
        return 2.0 * float(done.to_numpy().sum(dtype=np.float64))
