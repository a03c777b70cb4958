"""The rule that decides a check, and the check itself.

    PASS  if and only if  rms(e) <= 2 E_rms + q  and  max|e| <= 3 E_max + q

e is the candidate's error to the float64 truth. E, the envelope, is the worst error of legitimate
evaluations of the same stage in the same precision. q is half a unit in the last place of the
output's dtype: at the truth's rms for the first bound, at its largest magnitude for the second.

Both comparisons accept rather than reject, so that NaN fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verify.judge.finite import in_counts, is_finite
from verify.judge.metrics import Errors, errors, rms, ulp_at

if TYPE_CHECKING:
    import numpy.typing as npt

    from reference.trace import Array
    from verify.judge.verdict import Verdict

RMS_FACTOR = 2.0
MAX_FACTOR = 3.0
"""How far beyond the envelope a correct candidate may go: it is one more evaluation order, and the
worst of a few orders is not the worst of all. Set once for every stage, dtype and model."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The worst error of legitimate evaluations, in the array's own unit."""

    rms: float
    max: float


EXACT = Envelope(0.0, 0.0)
"""The envelope of a stage that only moves values."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rule says of one array.

    Attributes:
        verdict: PASS or FAIL; ERROR where the truth itself is not finite.
        used: error over allowed, of the two bounds the worse one; above 1 means FAIL.
        message: why, unless it passed.
        errors: the distances, or None where the arrays could not be compared.
    """

    verdict: Verdict
    used: float | None
    message: str
    errors: Errors | None


def judge(found: Array, truth: Array, envelope: Envelope, dtype: npt.DTypeLike) -> Judgement:
    """Apply the rule to one array.

    Args:
        found: what the candidate computed.
        truth: the same in float64 (or integers, which must be equal).
        envelope: of this stage and input.
        dtype: what the candidate declares to compute in; `found` must have it, if it is a float.
    """
    if problem := _unlike(found, truth, dtype):
        return Judgement("FAIL", None, problem, None)
    if not np.isfinite(truth).all():
        return Judgement("ERROR", None, "the reference itself is not finite here", None)
    with np.errstate(invalid="ignore", over="ignore"):
        found_errors = errors(found, truth, dtype)
    bound = allowed(truth, envelope, dtype)
    used = max(_used(found_errors.rms, bound.rms), _used(found_errors.max_abs, bound.max))
    if found_errors.rms <= bound.rms and found_errors.max_abs <= bound.max:
        return Judgement("PASS", used, "", found_errors)
    return Judgement("FAIL", used, _explain(found, used), found_errors)


def allowed(truth: Array, envelope: Envelope, dtype: npt.DTypeLike) -> Envelope:
    """The largest errors that pass: their rms, and that of an element."""
    return Envelope(
        rms=RMS_FACTOR * envelope.rms + ulp_at(rms(truth.astype(float)), dtype) / 2,
        max=MAX_FACTOR * envelope.max + ulp_at(float(np.abs(truth).max()), dtype) / 2,
    )


def _unlike(found: Array, truth: Array, dtype: npt.DTypeLike) -> str:
    """Why the two arrays cannot be compared, or nothing."""
    if found.shape != truth.shape:
        return f"shape {list(found.shape)}, but the reference has {list(truth.shape)}"
    if truth.size == 0:
        return "there is nothing to compare"
    if np.issubdtype(truth.dtype, np.integer):
        if not np.issubdtype(found.dtype, np.integer):
            return f"dtype {found.dtype}, but the reference has integers"
    elif found.dtype != np.dtype(dtype):
        return f"dtype {found.dtype}, but {np.dtype(dtype)} was declared"
    return ""


def _used(error: float, allowed: float) -> float:
    """Share of the allowed error; NaN where the error is NaN."""
    if error == 0:
        return 0.0
    return error / allowed if allowed else error * float("inf")


def _explain(found: Array, used: float) -> str:
    if not is_finite(found):
        return in_counts(found)
    if not np.isfinite(used):
        return "differs where the values only have to be passed on"
    return f"the error is {used:.3g} times what is allowed"
