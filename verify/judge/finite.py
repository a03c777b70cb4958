"""What is NaN or infinite in an array: how much of it, and where first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference.trace import Array

AXES = ("row", "token", "feature")


def is_finite(array: Array) -> bool:
    """Whether every number is finite; integers always are."""
    return array.dtype.kind in "iub" or bool(np.isfinite(array.astype(np.float64)).all())


def in_counts(found: Array, case: str = "") -> str:
    """How many elements are NaN or infinite, of how many, and where the first is.

    Args:
        found: `[..., feature]`, not all finite; its first axes are rows and tokens.
        case: the name of the input; "" where what is said around it names that.
    """
    wide = found.astype(np.float64)
    kinds = {"NaN": np.isnan(wide), "infinite": np.isinf(wide)}
    counts = [f"{where.sum():,} {name}" for name, where in kinds.items() if where.any()]
    first = np.argwhere(~np.isfinite(wide))[0].tolist()
    of_case = f" of {case}" if case else ""
    return f"{' and '.join(counts)} of {found.size:,} elements, the first at {at(first)}{of_case}"


def at(index: list[int]) -> str:
    """An element's place in words: `row 0, token 3, feature 17`."""
    names = AXES[-len(index) :] if len(index) <= len(AXES) else ()
    if not names:
        return str(index)
    return ", ".join(f"{name} {place}" for name, place in zip(names, index, strict=True))
