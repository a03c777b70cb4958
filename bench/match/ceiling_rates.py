"""The parent's side of the ceilings: one block of each in every round, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.judge.statistics import median_of
from bench.worker.process import Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.match.contestant import Emit
    from bench.workload.workload import Workload

UNITS = {
    "read": "GB/s", "read_weights": "GB/s", "peak": "GFLOP/s", "gemm": "GFLOP/s",
    "replay": "GFLOP/s",
}  # fmt: skip


GEMM_DTYPE = {"int8": "bfloat16"}
"""Weights of 8 bits are multiplied with wider activations, at the rate of these at most."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One ceiling: `workload` is set for a replay alone."""

    ceiling: str
    dtype: str
    workload: Workload | None = None


@dataclass(slots=True)
class Ceilings:
    """The ceilings of one device with a number of threads.

    Attributes:
        worker: answers as `bench.worker.ceilings`; None where nothing more is measured.
        model: whose shapes are replayed.
        kinds: what is measured.
        rates: bytes or FLOPs a second, one value for each block.
        error: why they could not be measured.
    """

    worker: Worker | None
    model: str
    device: str
    threads: int
    kinds: list[Kind]
    rates: dict[Kind, list[float]] = field(default_factory=dict)
    what: dict[Kind, str] = field(default_factory=dict)
    error: str = ""

    def measure(self, emit: Emit) -> None:
        """One block of each kind; a worker that fails ends them, and the run goes on.

        Args:
            emit: called with a record of each block.
        """
        for kind in self.kinds:
            if not self.error:
                self._measure(kind, emit)

    def _measure(self, kind: Kind, emit: Emit) -> None:
        assert self.worker is not None
        workload = kind.workload.as_dict() if kind.workload else None
        request = {"ceiling": kind.ceiling, "dtype": kind.dtype, "workload": workload}
        try:
            reply = self.worker.ask(request)
        except WorkerError as error:
            self.error = str(error)
            return
        if reply["rate"] is not None:
            self.rates.setdefault(kind, []).append(reply["rate"])
            self.what[kind] = reply["what"]
            place = {"model": self.model, "device": self.device, "threads": self.threads}
            what = {"ceiling": kind.ceiling, "dtype": kind.dtype}
            name = kind.workload.name if kind.workload else None
            told = {"rate": reply["rate"], "what": reply["what"]}
            emit({"record": "rate", **place, **what, "workload": name, **told})

    def best(self, ceiling: str, dtype: str) -> float | None:
        """The highest rate of a kind, in bytes or FLOPs a second; None where none was measured."""
        return max(self.rates.get(Kind(ceiling, dtype), []), default=None)

    def arithmetic(self, dtype: str) -> float | None:
        """The highest rate of multiply-adds in a dtype, in FLOPs a second, however measured."""
        kinds = [kind for kind in self.rates if kind.dtype == GEMM_DTYPE.get(dtype, dtype)]
        rates = [self.rates[kind] for kind in kinds if UNITS[kind.ceiling] == "GFLOP/s"]
        return max((rate for found in rates for rate in found), default=None)

    def bandwidth(self, dtype: str) -> float | None:
        """The highest rate at which weights can be read, in bytes a second."""
        found = [self.best("read_weights", dtype), self.best("read", "float32")]
        return max((rate for rate in found if rate is not None), default=None)

    def records(self) -> list[dict[str, Any]]:
        """A record for each kind that was measured."""
        return [self._record(kind, rates) for kind, rates in self.rates.items()]

    def _record(self, kind: Kind, rates: Sequence[float]) -> dict[str, Any]:
        middle = median_of([rate / 1e9 for rate in rates])
        return {
            "record": "ceiling",
            "model": self.model,
            "workload": kind.workload.name if kind.workload else None,
            "arm": None,
            "device": self.device,
            "dtype": kind.dtype,
            "threads": self.threads,
            "ceiling": kind.ceiling,
            "unit": UNITS[kind.ceiling],
            "value": max(rates) / 1e9,
            "median": middle.value,
            "ci_lo": middle.low,
            "ci_hi": middle.high,
            "blocks": len(rates),
            "what": self.what[kind],
        }


def kinds_for(dtypes: Sequence[str], workloads: Sequence[Workload], device: str) -> list[Kind]:
    """What to measure for arms of these dtypes."""
    distinct = list(dict.fromkeys(dtypes))
    return [
        Kind("read", "float32"),
        *([Kind("peak", "float32")] if device == "cpu" else []),
        *(Kind("read_weights", dtype) for dtype in distinct),
        *(Kind("gemm", dtype) for dtype in dict.fromkeys(GEMM_DTYPE.get(d, d) for d in distinct)),
        *(Kind("replay", "float32", workload) for workload in workloads),
    ]
