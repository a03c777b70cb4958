"""Rounding float64 arrays to fewer bits, and telling precisions apart.

Values are rounded to nearest, ties to even; TF32 has float32's exponent and 10 stored bits,
bfloat16 7, float16 10 with a narrower exponent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reference.dtypes import DTYPES, unit_roundoff
from verify.judge.metrics import rms, ulp_at

if TYPE_CHECKING:
    from reference.trace import Array

STORED_BITS = {"float64": 52, "float32": 23, "tf32": 10, "float16": 10, "bfloat16": 7, "float8": 3}
"""Bits of the significand that are stored (IEEE 754; NVIDIA's TF32; Google's bfloat16; float8 as
E4M3 of the Open Compute Project)."""

NEAR_BITS = 1.5
"""How near, in bits, an error has to be to a format's; TF32 and bfloat16 are 3 bits apart."""

OWN_SLACK = 4.0
"""An error up to this many envelopes is the declared precision's own."""

ROUNDING_FACTOR = 4.0
"""How far a difference may be beyond what rounding comes to by a lower precision: both are draws.
Of variants that are the same function by mathematics 0.03 to 1.8 was seen."""

LOWER = {
    "float64": ("float32", "tf32", "bfloat16"),
    "float32": ("tf32", "bfloat16"),
    "float16": ("bfloat16", "float8"),
    "bfloat16": ("float8",),
}
"""For each precision that may be declared, those that it may turn out to be instead."""


def to_fp16(x: Array) -> Array:
    """Rounded to float16; beyond 65504 infinite."""
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(x.dtype)


def to_tf32(x: Array) -> Array:
    """Rounded to TF32."""
    return _rounded(x, STORED_BITS["tf32"])


def to_bf16(x: Array) -> Array:
    """Rounded to bfloat16."""
    return _rounded(x, STORED_BITS["bfloat16"])


def to_fp8(x: Array) -> Array:
    """Rounded to the 3 bits that float8 E4M3 stores, as if scaled so that nothing overflows."""
    return _rounded(x, STORED_BITS["float8"])


def _rounded(x: Array, stored: int) -> Array:
    """Keep `stored` bits of float32's 23."""
    drop = 23 - stored
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    odd = (bits >> drop) & 1
    kept = (bits + ((1 << (drop - 1)) - 1) + odd) >> drop << drop
    return kept.astype(np.uint32).view(np.float32).astype(x.dtype)


def effective_bits(relative_error: float) -> float:
    """Bits that are right: -log2 of the rms error over the rms of the result; 0 for NaN."""
    if relative_error == 0:
        return math.inf
    return -math.log2(relative_error) if relative_error == relative_error else 0.0


def precision_class(relative_error: float, envelope: float, dtype: str = "float32") -> str:
    """What precision a stage's error looks like: the declared one, a lower one, or `none`.

    Rounding a number to b stored bits changes it by up to 2^-(b+1) of itself. In a sum of
    products with both factors rounded, errors and products add up alike, and about b + 1.5 bits of
    the result are right, however long the sum; with one factor rounded, about b + 2.

    Args:
        relative_error: rms error over the result's rms; positive.
        envelope: the same of a legitimate evaluation.
        dtype: the declared precision.
    """
    if relative_error <= OWN_SLACK * envelope:
        return dtype
    bits = effective_bits(relative_error)
    for name in LOWER[dtype]:
        if abs(bits - STORED_BITS[name] - 1.75) <= NEAR_BITS:
            return name
    return "none"


def within_rounding(
    found: Array, original: Array, found_lower: Array, original_lower: Array, lower: str
) -> bool:
    """Whether two float64 results differ by no more than rounding.

    How large rounding is, the same two computations tell at a lower precision: there it is larger
    by the ratio of the unit roundoffs, 2^29 for float32. How far it moves the one, the other, and
    both from each other are three draws: where a softmax nearly ties, one number carries them, and
    a single draw would say little. The rule's allowance takes no part, so that an allowance that is
    too wide is noticed.

    Args:
        found: in float64.
        original: in float64.
        found_lower: the first at the lower precision.
        original_lower: the second at the lower precision.
        lower: that precision.
    """
    if found.shape != original.shape or not np.isfinite(found_lower).all():
        return False
    with np.errstate(all="ignore"):
        draws = [
            _distance(found_lower, original_lower),
            _distance(found_lower, found),
            _distance(original_lower, original),
        ]
        # Where nothing shows, one element may have missed it by its last place.
        least = ulp_at(rms(original.astype(float)), DTYPES[lower]) / math.sqrt(original.size)
        here = _distance(found, original)
    shrunk = max(*draws, least) * unit_roundoff(np.float64) / unit_roundoff(DTYPES[lower])
    return here <= ROUNDING_FACTOR * shrunk


def _distance(found: Array, original: Array) -> float:
    """Root mean square difference of two arrays."""
    return rms(found.astype(np.float64) - original.astype(np.float64))
