"""What the rule makes of a planted fault: caught or not, where, and by what margin."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.dtypes import is_floating
from verify.judge.acceptance import Judgement, judge
from verify.judge.metrics import rms, ulp_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from reference.trace import Array
    from verify.faults.base import Fault
    from verify.judge.acceptance import Envelope

MARGIN = 2.0
"""Error over allowed that a fault has to reach; less means the rule only just notices it."""

LEAST_ULP = 0.01
"""A fault whose result is nowhere farther off than this, in units in the last place, is none here:
the float64 computations themselves stay a million times below it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the rule made of one fault on one input.

    Attributes:
        fault: its id.
        expected: the tap that must be blamed.
        blamed: the first tap that failed; None where none did.
        margin: error over allowed at the expected tap.
        applicable: False where the fault changes nothing that the dtype can hold.
        by: what caught it, the rule's `bounds` or a matched `filter`.
    """

    fault: str
    expected: str
    blamed: str | None
    margin: float
    applicable: bool
    by: str = "bounds"

    @property
    def noticed(self) -> bool:
        """Whether anything failed."""
        return self.blamed is not None

    @property
    def caught(self) -> bool:
        """Whether it was blamed on the right place, and by a safe margin."""
        return self.blamed == self.expected and self.margin >= MARGIN

    def details(self, case: str) -> dict[str, Any]:
        """As records and `--json` have it (`reports/SCHEMA.md`).

        Args:
            case: in which it was seen.
        """
        margin = self.margin if np.isfinite(self.margin) else str(self.margin)
        return {**asdict(self), "margin": margin, "case": case, "caught": self.caught}


def sight(
    fault: Fault,
    layer: int,
    trace: Mapping[str, Array],
    truth: Mapping[str, Array],
    envelopes: Mapping[str, Envelope],
    dtype: npt.DTypeLike,
) -> Sighting:
    """Judge a faulty stage's trace as a candidate's, rounded to the candidate's dtype.

    Args:
        fault: what was planted.
        layer: in which block.
        trace: what it computed, tap by tap in the order of execution; where its own place is not
            among them, it must be blamed on the first place that it reaches.
        truth: the forced trace of the float64 oracle.
        envelopes: of each stage in isolation.
        dtype: the candidate's.
    """
    expected = fault.blamed(layer)
    judgements: dict[str, Judgement] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for tap, found in trace.items():
            kind = dtype if is_floating(found) else found.dtype
            judgements[tap] = judge(found.astype(kind), truth[tap], envelopes[tap], dtype)
        if expected not in trace:
            reached = (tap for tap, found in trace.items() if _differs(found, truth[tap], dtype))
            expected = next(reached, list(trace)[-1])
        applicable = _differs(trace[expected], truth[expected], dtype)
    failed = [tap for tap, judgement in judgements.items() if judgement.verdict == "FAIL"]
    return Sighting(
        fault=fault.id,
        expected=expected,
        blamed=failed[0] if failed else None,
        margin=margin_of(judgements[expected]),
        applicable=applicable,
    )


def _differs(found: Array, truth: Array, dtype: npt.DTypeLike) -> bool:
    """Whether a float64 result differs by anything that the dtype could ever show."""
    if found.shape != truth.shape:
        return True
    least = LEAST_ULP * ulp_at(rms(truth.astype(float)), dtype)
    return not bool((np.abs(found - truth) <= least).all())


def margin_of(judgement: Judgement) -> float:
    """Error over allowed; a result that is not finite, or of another shape, is infinitely far."""
    if judgement.verdict == "FAIL" and (judgement.used is None or np.isnan(judgement.used)):
        return float("inf")
    return judgement.used or 0.0
