"""Whole numbers in words: where positions or indices first differ, and what they do from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference.trace import Array


def compared_integers(found: Array, truth: Array) -> str:
    """How positions or token ids differ from those expected.

    Args:
        found: integers, `[sequence]` or `[batch, sequence]`.
        truth: of the same shape.
    """
    rows, right = found.reshape(-1, found.shape[-1]), truth.reshape(-1, truth.shape[-1])
    different = np.argwhere(rows != right)
    if not len(different):
        return "nothing differs"
    row, token = different[0].tolist()
    where = f"token {token}" + (f" of row {row}" if len(rows) > 1 else "")
    first = f"first differs at {where}: {rows[row, token]}, not {right[row, token]}"
    count = f"{len(different):,} of {rows.size:,} differ"
    pattern = _pattern(rows[row], right[row], token)
    return f"{pattern}; {first} ({count})" if pattern else f"{first} ({count})"


def _pattern(found: Array, right: Array, first: int) -> str:
    """What a row of positions does."""
    rest = found[first:]
    if len(found) > 1 and bool(np.all(found == found[0])):
        return f"each is {int(found[0])}"
    if bool(np.all(found - right == found[0] - right[0])):
        by = int(found[0] - right[0])
        return f"each is {'larger' if by > 0 else 'smaller'} by {abs(by)}"
    if first and len(rest) > 1 and bool(np.all(rest == found[first - 1])):
        return f"positions stop at {int(found[first - 1])}"
    if first and np.array_equal(found, right % first):
        return f"positions begin anew after {first}"
    if np.array_equal(found, right[::-1]):
        return "they run backwards"
    return ""
