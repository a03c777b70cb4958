"""Rounding float64 arrays to fewer bits, and telling precisions apart.

Values are rounded to nearest, ties to even; TF32 has float32's exponent and 10 stored bits,
bfloat16 7, float16 10 with a narrower exponent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reference.trace import Array

STORED_BITS = {"float32": 23, "tf32": 10, "float16": 10, "bfloat16": 7}
"""Bits of the significand that are stored (IEEE 754; NVIDIA's TF32; Google's bfloat16)."""


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


def _rounded(x: Array, stored: int) -> Array:
    """Keep `stored` bits of float32's 23."""
    drop = 23 - stored
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    odd = (bits >> drop) & 1
    kept = (bits + ((1 << (drop - 1)) - 1) + odd) >> drop << drop
    return kept.astype(np.uint32).view(np.float32).astype(x.dtype)


def effective_bits(relative_error: float) -> float:
    """Bits that are right: -log2 of the rms error over the rms of the result."""
    return math.inf if relative_error == 0 else -math.log2(relative_error)


def precision_class(relative_error: float, envelope: float) -> str:
    """What precision an error looks like: the name of the widest format that explains it.

    Args:
        relative_error: rms error over the result's rms.
        envelope: the same of a legitimate float32 evaluation; other formats' follow from it, since
            an error shrinks by half with each bit.
    """
    for name in ("float32", "tf32", "bfloat16"):
        lost: Any = STORED_BITS["float32"] - STORED_BITS[name]
        if relative_error <= 4 * envelope * 2.0**lost:
            return name
    return "none"
