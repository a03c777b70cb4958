"""The parent's side of the ceilings: one block of each in every round, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.judge.statistics import median_of
from bench.worker.process import Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """One ceiling: `workload`, the name of one, is set for a replay alone."""

    ceiling: str
    dtype: str
    workload: str | None = None


@dataclass(slots=True)
class Ceilings:
    """The ceilings of one device with a number of threads.

    Attributes:
        worker: answers as `bench.worker.ceilings`; None where records are read again.
        model: whose shapes are replayed.
        kinds: what is measured.
        workloads: those of the kinds, by name.
        rates: bytes or FLOPs a second, one value for each block.
        beside: bytes a second at which weights of a dtype could be read in the middle of a quad, by
            the quad's number.
        error: why they could not be measured.
    """

    worker: Worker | None
    model: str
    device: str
    threads: int
    kinds: list[Kind] = field(default_factory=list)
    workloads: dict[str, Workload] = field(default_factory=dict)
    rates: dict[Kind, list[float]] = field(default_factory=dict)
    beside: dict[str, dict[int, float]] = field(default_factory=dict)
    what: dict[Kind, str] = field(default_factory=dict)
    error: str = ""

    def measure(self, emit: Emit, generation: int | None = None) -> None:
        """One block of each kind; a worker that fails ends them, and the run goes on."""
        for kind in self.kinds:
            self._measure(kind, emit, generation)

    def read_beside(self, emit: Emit, generation: int, quad: int) -> None:
        """One block of reading weights, in the middle of a quad."""
        for kind in self.kinds:
            if kind.ceiling == "read_weights":
                self._measure(kind, emit, generation, quad)

    def prepare(self) -> None:
        """Compile and allocate what each kind needs, so that no block has to."""
        for kind in self.kinds:
            self._ask(kind, prepare=True)

    def _ask(self, kind: Kind, *, prepare: bool = False) -> dict[str, Any] | None:
        """The worker's answer; None from the first failure on, which ends the ceilings."""
        if self.error:
            return None
        assert self.worker is not None
        workload = self.workloads[kind.workload].as_dict() if kind.workload else None
        request = {"ceiling": kind.ceiling, "dtype": kind.dtype, "workload": workload}
        try:
            return self.worker.ask({**request, "prepare": prepare})
        except WorkerError as error:
            self.error = str(error)
            return None

    def _measure(
        self, kind: Kind, emit: Emit, generation: int | None, quad: int | None = None
    ) -> None:
        reply = self._ask(kind)
        if reply is not None and reply["rate"] is not None:
            record = {"record": "rate", **self._place(kind), "generation": generation,
                      "quad": quad, "ceiling": kind.ceiling, **reply}  # fmt: skip
            emit(record)
            self.take(record)

    def take(self, record: Mapping[str, Any]) -> None:
        """Learn one block's rate from its record."""
        kind = Kind(record["ceiling"], record["dtype"], record["workload"])
        self.rates.setdefault(kind, []).append(record["rate"])
        self.what[kind] = record["what"]
        if (quad := record.get("quad")) is not None:
            self.beside.setdefault(kind.dtype, {})[quad] = record["rate"]

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
            **self._place(kind),
            "ceiling": kind.ceiling,
            "unit": UNITS[kind.ceiling],
            "value": max(rates) / 1e9,
            "median": middle.value,
            "ci_lo": middle.low,
            "ci_hi": middle.high,
            "blocks": len(rates),
            "what": self.what[kind],
        }

    def _place(self, kind: Kind) -> dict[str, Any]:
        return {
            "model": self.model,
            "workload": kind.workload,
            "arm": None,
            "device": self.device,
            "dtype": kind.dtype,
            "threads": self.threads,
        }


def kinds_for(dtypes: Sequence[str], workloads: Sequence[Workload], device: str) -> list[Kind]:
    """What to measure for arms of these dtypes."""
    distinct = list(dict.fromkeys(dtypes))
    return [
        Kind("read", "float32"),
        *([Kind("peak", "float32")] if device == "cpu" else []),
        *(Kind("read_weights", dtype) for dtype in distinct),
        *(Kind("gemm", dtype) for dtype in dict.fromkeys(GEMM_DTYPE.get(d, d) for d in distinct)),
        *(Kind("replay", "float32", workload.name) for workload in workloads),
    ]
