"""The parent's side of the ceilings: one block of each in every round, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.judge.statistics import median_of
from bench.worker.process import Worker, WorkerError
from reports.tables.classes import class_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.match.contestant import Emit
    from bench.workload.workload import Workload

UNITS = {
    "read": "GB/s", "read_weights": "GB/s", "peak": "GFLOP/s", "peak_by_six": "GFLOP/s",
    "gemm": "GFLOP/s", "replay": "GFLOP/s",
}  # fmt: skip

READ_DTYPE = {"bfloat16-products": "bfloat16", "bfloat16-cache": "bfloat16"}
"""What weights of an arm's dtype are read as."""

GEMM_DTYPE = {"int8": "bfloat16", **READ_DTYPE}
"""In what PyTorch multiplies at most what is held in an arm's dtype."""

FACTORS = {"bfloat16 weights": "bfloat16", "int8 weights": "bfloat16", "float16": "float32"}
"""What is multiplied, by what an arm is judged by, where the two differ. Weights of 8 bits with
wider activations are multiplied as these; float16 is but a table of llama.cpp's, whose products are
float32's.
"""


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
        missing: why this machine has no such ceiling.
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
    missing: dict[Kind, str] = field(default_factory=dict)
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
        if reply is not None and reply["rate"] is None:
            self.missing[kind] = reply["what"]
        elif reply is not None:
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

    def arithmetic(self, judged_as: str) -> float | None:
        """The highest rate of multiply-adds for an arm, in FLOPs a second, however measured.

        Of float32 that is a sixth of the tiles' rate in bfloat16, where that is more.

        Args:
            judged_as: what the arm is judged by, which says what it may multiply.
        """
        factors = FACTORS.get(judged_as, judged_as)
        kinds = [kind for kind in self.rates if kind.dtype == factors]
        rates = [self.rates[kind] for kind in kinds if UNITS[kind.ceiling] == "GFLOP/s"]
        return max((rate for found in rates for rate in found), default=None)

    def bandwidth(self, dtype: str) -> float | None:
        """The highest rate at which an arm's weights can be read, in bytes a second."""
        own = READ_DTYPE.get(dtype, dtype)
        found = [self.best("read_weights", own), self.best("read", "float32")]
        return max((rate for rate in found if rate is not None), default=None)

    def quads(self, dtype: str) -> dict[int, float]:
        """At which rates an arm's weights could be read in the middle of each quad."""
        return self.beside.get(READ_DTYPE.get(dtype, dtype), {})

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
    coarse = {class_of(dtype) for dtype in distinct} - {"float32"}
    peaks = ["float32", *(["bfloat16"] if coarse else [])]
    peaks += ["int8"] if "8 bits" in coarse else []
    return [
        Kind("read", "float32"),
        *(Kind("peak", dtype) for dtype in peaks if device == "cpu"),
        *([Kind("peak_by_six", "float32")] if device == "cpu" else []),
        *(Kind("read_weights", dtype) for dtype in _each(READ_DTYPE, distinct)),
        *(Kind("gemm", dtype) for dtype in _each(GEMM_DTYPE, distinct)),
        *(Kind("replay", "float32", workload.name) for workload in workloads),
    ]


def _each(table: Mapping[str, str], dtypes: Sequence[str]) -> list[str]:
    """What a table has for these dtypes, each once."""
    return list(dict.fromkeys(table.get(dtype, dtype) for dtype in dtypes))
