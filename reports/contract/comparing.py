"""What `--json` of `verify diff` and of `bench compare` writes of two runs, A and B."""

from __future__ import annotations

from typing import Literal

from reports.contract.measuring import Comparison
from reports.contract.parts import Closed, Figure, Verdict


class PlaceChange(Closed, kw_only=True):
    """A place in both runs. `rms_log2`: B's rms error over A's, mean of the cases that changed."""

    tap: str
    mode: Literal["isolated", "free", "plain", "math", "math-free"]
    verdict: Literal["broken", "mended", "worse", "better", "same size", "same"]
    cases: int
    changed: int
    ulp_a: Figure
    ulp_b: Figure
    rms_log2: Figure
    broken: list[str]
    mended: list[str]


class KindSide(Closed, kw_only=True):
    """A kind of check in one run: how many passed, and the gravest verdict."""

    passed: int
    of: int
    verdict: Verdict


class KindOfCheck(Closed, kw_only=True):
    """A kind of check in both runs; null where a run has none of it."""

    mode: str
    verdict: Literal["broken", "mended", "same", "only A", "only B"]
    a: KindSide | None
    b: KindSide | None


class Diffed(Closed, kw_only=True):
    """Of `python -m verify diff`. `page` is null where it could not be written."""

    schema_version: int
    verdict: Literal["BROKEN", "MENDED", "CHANGED", "SAME"]
    answer: str
    more: str
    runs: list[str]
    unlike: list[str]
    places: list[PlaceChange]
    kinds: list[KindOfCheck]
    page: str | None


class RatioSide(Closed, kw_only=True):
    """An arm's time over the baseline's in one run."""

    ratio: float
    ci_lo: Figure
    ci_hi: Figure


class SpeedChange(Closed, kw_only=True):
    """How an arm's time over the baseline's changed: `change` is B's over A's."""

    model: str | None
    workload: str | None
    device: str | None
    threads: int | None
    arm: str
    versus: str
    change: float
    ci_lo: Figure
    ci_hi: Figure
    processes: int
    quads: int
    verdict: Comparison
    more_processes: int | None
    more_quads: int | None
    why: str
    a: RatioSide
    b: RatioSide


class SpeedsCompared(Closed, kw_only=True):
    """Of `python -m bench compare`; it lies in B's folder as `compare-A.json` too."""

    schema_version: int
    verdict: Literal["SLOWER", "FASTER", "MIXED", "SAME", "INCONCLUSIVE"]
    answer: str
    more: str
    runs: list[str]
    margin: float
    unlike: list[str]
    changes: list[SpeedChange]
