"""What is recorded of one comparison."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from verify.judge.rounding import effective_bits

Verdict = Literal["PASS", "FAIL", "ERROR", "SKIP", "UNDERPOWERED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison, as it is recorded.

    `regime` and `device` tell where it was made, `batch` and `length` on how many tokens; they are
    None where a check belongs to no regime, device or input. `max_abs` to `cosine` tell the
    candidate's error to float64, `torch_*` PyTorch's in the same place, `envelope_*` the envelope.
    `ratio` is the candidate's rms error over PyTorch's. Figures are None where nothing could be
    measured.
    """

    case: str
    mode: str
    tap: str
    verdict: Verdict
    regime: str | None = None
    device: str | None = None
    batch: int | None = None
    length: int | None = None
    layer: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    max_abs: float | None = None
    rms: float | None = None
    relative: float | None = None
    ulp: float | None = None
    cosine: float | None = None
    torch_max_abs: float | None = None
    torch_rms: float | None = None
    torch_relative: float | None = None
    torch_ulp: float | None = None
    torch_cosine: float | None = None
    envelope_max: float | None = None
    envelope_rms: float | None = None
    ratio: float | None = None
    used: float | None = None
    message: str = ""
    details: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """The check as a record, without its kind; `bits` tells how many bits are right."""
        bits = None if self.relative is None else effective_bits(self.relative)
        return {**asdict(self), "bits": None if bits is None or math.isinf(bits) else bits}
