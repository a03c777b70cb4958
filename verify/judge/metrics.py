"""How far an array is from the truth.

Everything is computed in float64. Figures of an empty array are 0; NaN in the candidate's array
makes every figure NaN, which no bound accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.dtypes import is_floating

if TYPE_CHECKING:
    import numpy.typing as npt

    from reference.trace import Array


@dataclass(frozen=True, slots=True)
class Errors:
    """Distances of an array from the truth.

    Attributes:
        max_abs: the largest absolute difference, in the array's own unit.
        rms: the root mean square difference, in the array's own unit.
        relative: rms over the truth's rms.
        ulp: max_abs in units in the last place of the dtype, at the truth's rms.
        cosine: of the angle between the two arrays seen as vectors; 1 means the same direction.
    """

    max_abs: float
    rms: float
    relative: float
    ulp: float
    cosine: float


def rms(x: Array) -> float:
    """Root mean square of all elements; 0 for an empty array."""
    if x.size == 0:
        return 0.0
    flat = x.ravel()
    return float(np.sqrt(np.dot(flat, flat) / flat.size))


def ulp_at(value: float, dtype: npt.DTypeLike) -> float:
    """The gap between neighbouring numbers of `dtype` at `value`; for integers 0."""
    number = np.asarray(abs(value)).astype(dtype)
    return float(np.spacing(number)) if is_floating(number) else 0.0


def errors(found: Array, truth: Array, dtype: npt.DTypeLike) -> Errors:
    """Compare `found` with float64 `truth` of the same shape, in units of `dtype`."""
    wide = found.astype(np.float64)
    true = truth.astype(np.float64)
    difference = wide - true
    scale = rms(true)
    error = rms(difference)
    peak = float(np.abs(difference).max(initial=0.0))
    gap = ulp_at(scale, dtype)
    return Errors(
        max_abs=peak,
        rms=error,
        relative=_ratio(error, scale),
        ulp=_ratio(peak, gap),
        cosine=_cosine(wide, true),
    )


def _ratio(part: float, whole: float) -> float:
    """Part / whole, where nothing over nothing is 0."""
    if whole:
        return part / whole
    return 0.0 if part == 0 else float("inf") if part > 0 else part


def _cosine(a: Array, b: Array) -> float:
    """Cosine of the angle; 1 where the arrays are equal, even if both are 0."""
    if np.array_equal(a, b):
        return 1.0
    lengths = rms(a) * rms(b) * a.size
    return float(np.dot(a.ravel(), b.ravel()) / lengths) if lengths else 0.0


def kl_divergence(truth: Array, logits: Array) -> Array:
    """KL(softmax(truth) || softmax(logits)) in nats, for each position, in float64."""
    p, q = _log_softmax(truth), _log_softmax(logits)
    # Rounding can leave a sum of nearly equal terms just below zero.
    return np.maximum((np.exp(p) * (p - q)).sum(axis=-1), 0.0)


def _log_softmax(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
