"""The most multiply-adds that a CPU's cores do in a second, from registers (kernels/peak.mojo).

Libraries' products are no ceiling: PyTorch's reached 202 GFLOP/s on two cores where another's
reached 303 and the cores themselves do 470. Nor is a form of this loop that does not fit the CPU:
vectors are as wide as its registers, and sums as many as hide how long each takes.
"""

from __future__ import annotations

from dataclasses import dataclass
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

STEPS = 1 << 12
"""Multiply-adds of each chain in a part, which takes 7 to 30 microseconds. Cores that end a call at
different times differ by one part at most."""

WIDEST = 16
"""Lanes of the widest registers, those of AVX-512."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the loop is laid out; 0 is what suits the CPU.

    Attributes:
        lanes: floats in a vector.
        chains: sums that grow at the same time.
    """

    lanes: int = 0
    chains: int = 0


NATIVE = Form()
AVX2 = Form(lanes=8, chains=12)
"""Which fits the 16 registers of AVX2. It may be the faster one on a CPU with AVX-512 too, where
that lowers the clock or has half of the units."""


class Peak:
    """A program that multiplies and adds on every CPU that this process may use.

    Raises:
        impl.precompile.KernelError: where the kernel does not build.
    """

    def __init__(self) -> None:
        self._workers = len(usable_cpus())
        library, cpu = kernel_library(SOURCE, "peak_kernels"), DeviceRef.CPU()
        pair = TensorType(DType.int64, [2], cpu)
        types = [TensorType(DType.float32, [2, WIDEST], cpu), pair, pair]
        results = [TensorType(DType.float64, [self._workers], cpu), pair]
        with Graph("peak", input_types=types, custom_extensions=[library]) as graph:
            values = list(graph.inputs)
            graph.output(*ops.custom("peak_multiply_adds", cpu, values, results))
        try:
            session = InferenceSession(devices=[CPU()])
            self._model = session.load(graph)
        except Exception as error:  # MAX raises its own types for what the compiler refuses
            raise KernelError(f"MAX does not compile the kernel: {error}") from error
        self._factors = Buffer.from_numpy(np.ones((2, WIDEST), np.float32))

    def __call__(self, form: Form = NATIVE, parts: int = 64) -> float:
        """Compute so many parts for each CPU; how many floating-point operations that were.

        Raises:
            ValueError: for a form that is not compiled for this CPU.
        """
        return 2.0 * float(self._run(form, parts)[0].sum())

    def forms(self) -> list[Form]:
        """The forms of which one is the fastest on this CPU, lanes and chains told."""
        lanes, chains = map(int, self._run(NATIVE, 1)[1])
        return [Form(lanes, chains), *([AVX2] if lanes == WIDEST else [])]

    def _run(self, form: Form, parts: int) -> list[np.ndarray]:
        amount = np.array([parts * self._workers, STEPS], np.int64)
        asked = np.array([form.lanes, form.chains], np.int64)
        with log_thread_yields():
            results = self._model.execute(self._factors, *map(Buffer.from_numpy, (amount, asked)))
        return [result.to_numpy() for result in results]
