"""The worker's side of the ceilings: what this machine can read and multiply at most.

    read          sum of more float32 values than the last-level cache holds
    read_weights  sum of as many bytes as the weights take, again and again: a small model's weights
                  stay in caches, from which they are read far faster
    peak          multiply-adds from registers, on a CPU: of float32 (bench/worker/peak.py), and of
                  bfloat16 and 8 bits where it has units for them (bench/worker/units.py)
    peak_by_six   float32 out of six products of bfloat16, where tiles multiply these
    gemm          the best of some square products
    replay        the products with weights of one pass of a workload, each a library call

Sums, because a copy (STREAM) moves data both ways and showed 31 GB/s where reads reached 35 to 68.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from bench.arms.torch_eager import torch_device
from bench.workload.work import products, weight_bytes
from bench.workload.workload import Workload
from impl.precompile import KernelError
from reports.saved.machine import last_level_cache_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.worker.peak import Form
    from impl.config import GPT2Config

    Reply = dict[str, Any]

BLOCK_S = 0.03
"""A block repeats its call for about this long, in seconds; the best call counts."""
FEWEST_CALLS = 2
LEAST_READ_BYTES = 256 << 20
MOST_WEIGHTS_BYTES = 1 << 30
"""A larger model's replay runs through its first layers' weights again."""
PARTS = 64, 1024
"""Parts of a peak's call for each CPU: half a millisecond to two, and 8 to 30. Short calls find
undisturbed moments; in long ones the 30 microseconds that it takes to begin and end do not count.
"""
SQUARES = 256, 512, 1024
"""A block takes the best: short calls find undisturbed moments, long ones reach full speed."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something to call: `amount` is its bytes or FLOPs."""

    call: Callable[[], Any]
    amount: float
    what: str


class CeilingServer:
    """Measures one ceiling for each request."""

    def __init__(self, config: GPT2Config, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._config, self._device = config, torch_device(device)
        self._tasks: dict[tuple[Any, ...], list[Task]] = {}

    @torch.inference_mode()
    def answer(self, request: Reply) -> Reply:
        """`{"ceiling", "dtype", "workload"}` to `{"rate", "what"}`: bytes or FLOPs a second.

        `rate` is None where it cannot be measured here, and `what` says why; with `prepare` it is
        None too, and all is made ready that takes long once.
        """
        workload = Workload(**request["workload"]) if request["workload"] else None
        key = request["ceiling"], request["dtype"], workload and workload.name
        try:
            if key not in self._tasks:
                self._tasks[key] = self._prepare(request["ceiling"], request["dtype"], workload)
        except KernelError as error:
            return {"rate": None, "what": str(error)}
        if request.get("prepare"):
            return {"rate": None, "what": ""}
        rates = [(task.amount / self._best_s(task.call), task.what) for task in self._tasks[key]]
        rate, what = max(rates)
        return {"rate": rate, "what": what}

    def _prepare(self, ceiling: str, dtype: str, workload: Workload | None) -> list[Task]:
        """What is called; of several, the fastest counts."""
        kind = getattr(torch, dtype)
        match ceiling:
            case "read":
                return self._read(max(LEAST_READ_BYTES, 4 * last_level_cache_bytes()))
            case "read_weights":
                return self._read(int(weight_bytes(self._config, dtype)))
            case "peak" if dtype == "float32":
                return self._peak()
            case "peak":
                return self._unit_peak(dtype)
            case "peak_by_six":
                return self._by_six()
            case "gemm":
                return self._gemm(kind)
            case "replay":
                assert workload is not None
                return self._replay(workload, kind)
        raise ValueError(f"unknown ceiling {ceiling!r}")

    def _read(self, size: int) -> list[Task]:
        values = torch.ones(size // 4, device=self._device)
        return [Task(values.sum, float(4 * len(values)), f"sum of {size / 2**20:,.0f} MiB")]

    def _peak(self) -> list[Task]:
        from bench.worker.peak import Peak

        peak = Peak()

        def task(form: Form, parts: int) -> Task:
            what = f"multiply-adds from registers, {form.lanes} lanes in {form.chains} chains"
            return Task(lambda: peak(form, parts), peak(form, parts), what)

        return [task(form, parts) for form in peak.forms() for parts in PARTS]

    def _unit_peak(self, dtype: str, each: int = 1, *, tiles: bool = False) -> list[Task]:
        """Products by a unit of its own; `each` of them count as one."""
        from bench.worker.units import first_unit

        peak = first_unit(dtype, tiles=tiles)
        what = f"products of {dtype} from registers, {peak.unit.name}"
        what += f", {each} for one" if each > 1 else ""
        return [Task(partial(peak, parts), peak(parts) / each, what) for parts in PARTS]

    def _by_six(self) -> list[Task]:
        from bench.worker.units import PRODUCTS_OF_FLOAT32

        return self._unit_peak("bfloat16", PRODUCTS_OF_FLOAT32, tiles=True)

    def _gemm(self, kind: torch.dtype) -> list[Task]:
        def product(size: int) -> Callable[[], Any]:
            left, right = (torch.rand(size, size, device=self._device).to(kind) for _ in "ab")
            return lambda: left @ right

        return [
            Task(product(size), 2.0 * size**3, f"product of two [{size}, {size}]")
            for size in SQUARES
        ]

    def _replay(self, workload: Workload, kind: torch.dtype) -> list[Task]:
        shapes = products(self._config, workload)
        left_bytes, calls = float(MOST_WEIGHTS_BYTES), []
        for shape in shapes:
            each = shape.k * shape.n * kind.itemsize
            held = max(1, min(shape.count, int(left_bytes / len(shapes) / each)))
            x = torch.rand(shape.m, shape.k, device=self._device).to(kind)
            matrices = [
                torch.rand(shape.n, shape.k, device=self._device).to(kind) for _ in range(held)
            ]
            calls += [(x, matrices[index % held]) for index in range(shape.count)]

        def replay() -> None:
            for x, weight in calls:
                torch.nn.functional.linear(x, weight)

        total = sum(shape.flops for shape in shapes)
        return [Task(replay, total, f"{len(calls)} products of {workload.name}")]

    def _best_s(self, call: Callable[[], Any]) -> float:
        """The shortest time of a call, in a block of them; the first is left out."""
        self._timed_s(call)
        times_s: list[float] = []
        while len(times_s) < FEWEST_CALLS or sum(times_s) < BLOCK_S:
            times_s.append(self._timed_s(call))
        return min(times_s)

    def _timed_s(self, call: Callable[[], Any]) -> float:
        if self._device.type == "cpu":
            start_s = time.perf_counter()
            call()
            return time.perf_counter() - start_s
        start, end = (torch.Event("cuda", enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3
