"""What a CPU multiplies beside float32: bfloat16 and 8 bits, from registers (kernels/units.mojo).

Such products run at two to sixteen times the rate of float32's where a CPU has units for them.
Tiles make more of float32 too: a float32 is the sum of three bfloat16, and of the nine products of
two such sums six matter (arXiv 1904.06376), so that float32 can have a sixth of the tiles' rate.
No instruction is executed that the CPU does not list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef, Graph, TensorType, ops

from bench.worker.peak import SOURCE
from impl.choosing.tiles import permission_refused
from impl.log_thread import log_thread_yields
from impl.precompile import KernelError, kernel_library
from reports.saved.environment import usable_cpus
from reports.saved.machine import all_flags

TILE = np.stack([
    np.tile(np.array([0x80, 0x3F], np.uint8), 512),  # 1.0 in bfloat16, the lower byte first
    np.ones(1024, np.uint8),
])  # fmt: skip
"""Bytes of a tile of ones, in bfloat16 and in 8 bits."""

PRODUCTS_OF_FLOAT32 = 6
"""Of bfloat16, in place of one of float32."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that multiplies.

    Attributes:
        name: what results call it.
        dtype: of the factors.
        number: kernels/units.mojo's.
        flags: that the CPU lists where it has it, by Linux's names.
        steps: instructions of each chain in a part, which takes 10 to 50 microseconds.
        tiles: whether the kernel has to be asked.
    """

    name: str
    dtype: str
    number: int
    flags: frozenset[str]
    steps: int
    tiles: bool = False


UNITS = (
    Unit("AMX tiles", "bfloat16", 3, frozenset({"amx_tile", "amx_bf16"}), 512, tiles=True),
    Unit("AVX512_BF16", "bfloat16", 1, frozenset({"avx512f", "avx512_bf16"}), 4096),
    Unit("AMX tiles", "int8", 4, frozenset({"amx_tile", "amx_int8"}), 512, tiles=True),
    Unit("AVX512_VNNI", "int8", 2, frozenset({"avx512f", "avx512_vnni"}), 4096),
)
"""Of each dtype the fastest first."""


def units_of(dtype: str, flags: frozenset[str] | None = None) -> list[Unit]:
    """The units of a dtype that a CPU has; this machine's where no flags are given."""
    there = frozenset(all_flags()) if flags is None else flags
    return [unit for unit in UNITS if unit.dtype == dtype and unit.flags <= there]


class UnitPeak:
    """A program that multiplies by a unit on every CPU that this process may use.

    Raises:
        impl.precompile.KernelError: where the kernel does not build, or Linux gives no tiles.
    """

    def __init__(self, unit: Unit) -> None:
        if unit.tiles:
            ask_for_tiles()
        self.unit, self._workers = unit, len(usable_cpus())
        library, cpu = kernel_library(SOURCE, "peak_kernels"), DeviceRef.CPU()
        types = [
            TensorType(DType.uint8, list(TILE.shape), cpu), TensorType(DType.int64, [2], cpu),
            TensorType(DType.int64, [1], cpu),
        ]  # fmt: skip
        results = [TensorType(DType.float64, [self._workers], cpu)]
        with Graph("units", input_types=types, custom_extensions=[library]) as graph:
            graph.output(*ops.custom("unit_products", cpu, list(graph.inputs), results))
        try:
            self._model = InferenceSession(devices=[CPU()]).load(graph)
        except Exception as error:  # MAX raises its own types for what the compiler refuses
            raise KernelError(f"MAX does not compile the kernel: {error}") from error

    def __call__(self, parts: int) -> float:
        """Compute so many parts for each CPU; how many operations that were."""
        amount = np.array([parts * self._workers, self.unit.steps], np.int64)
        unit = np.array([self.unit.number], np.int64)
        with log_thread_yields():
            (done,) = self._model.execute(*map(Buffer.from_numpy, (TILE, amount, unit)))
        return 2.0 * float(done.to_numpy().sum())


def first_unit(dtype: str, *, tiles: bool = False, flags: frozenset[str] | None = None) -> UnitPeak:
    """The fastest unit of a dtype that this process may use.

    Args:
        dtype: of the factors.
        tiles: whether it has to be made of tiles.
        flags: of the CPU; this machine's where none are given.

    Raises:
        KernelError: where there is none.
    """
    sought = [unit for unit in UNITS if unit.dtype == dtype and (unit.tiles or not tiles)]
    named = " or ".join(" with ".join(sorted(unit.flags)) for unit in sought)
    refused = KernelError(f"this CPU lists no unit for products of {dtype} ({named})")
    for unit in units_of(dtype, flags):
        if unit in sought:
            try:
                return UnitPeak(unit)
            except KernelError as error:
                refused = error
    raise refused


def ask_for_tiles() -> None:
    """Ask Linux for this process's tiles, without which their instructions end it.

    Raises:
        KernelError: where it refuses.
    """
    if refused := permission_refused():
        raise KernelError(refused)
