"""A whole tensor as small as a picture: of each cell what is largest in it, never a mean.

A mean would hide a single wrong element among thousands. A cell is a few tokens by a few features;
none reaches over the end of a sequence, or of a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.judge.acceptance import allowed

if TYPE_CHECKING:
    import numpy.typing as npt

    from reference.trace import Array
    from verify.judge.acceptance import Envelope

ROWS, COLUMNS = 72, 192
"""Cells of a picture at most, but for a row for each sequence and a column for each head."""

HEADS = {
    "attn.c_attn": (1, 2),
    "attn.c_proj:input": (1, 0),
    "self_attn.q_proj": (1, 0),
    "self_attn.k_proj": (0, 1),
    "self_attn.v_proj": (0, 1),
    "self_attn.qkv_proj": (1, 2),
    "self_attn.o_proj:input": (1, 0),
}
"""Places whose features are heads side by side: those of queries once, those of keys so often."""


def heads_at(tap: str, config: Any) -> int:
    """How many heads lie side by side in a place's features; 0 where they are not heads.

    Args:
        tap: the place.
        config: of a GPT-2 (`n_head`), or of transformers (`num_attention_heads`).
    """
    counts = next((n for end, n in HEADS.items() if tap.endswith(f".{end}")), (0, 0))
    queries = getattr(config, "num_attention_heads", None) or getattr(config, "n_head", None) or 0
    keys = getattr(config, "num_key_value_heads", None) or queries
    return int(counts[0] * queries + counts[1] * keys)


def pictured(
    found: Array, truth: Array, envelope: Envelope, dtype: npt.DTypeLike, heads: int = 0
) -> dict[str, Array]:
    """A tensor, and how far it is from the truth, cell by cell.

    Args:
        found: the candidate's `[batch, sequence, features]`.
        truth: the same in float64.
        envelope: of this place and input.
        dtype: that the candidate declares.
        heads: how many heads the features are; 0 for none.

    Returns:
        `error`: of each cell the largest `|found - truth|`, infinite for what is not a number;
        `candidate` and `oracle`: the largest magnitude in it; each `[rows, columns]` in float32.
        `allowed`: the largest error of an element that the rule allows. `shape`: of the tensor.
        `cell`: tokens and features of a cell. `heads`: how many.
    """
    batch, length, features = found.shape
    wide = found.astype(np.float64)
    distance = np.abs(wide - truth)
    each = features // heads if heads and features % heads == 0 else features
    cell = (_fitting(length, batch * length, ROWS), _fitting(each, features, COLUMNS, whole=True))
    arrays = {"error": distance, "candidate": np.abs(wide), "oracle": np.abs(truth)}
    pictures = {name: _largest(_finite(array), cell) for name, array in arrays.items()}
    return pictures | {
        "allowed": np.array(allowed(truth, envelope, dtype).max),
        "shape": np.array(found.shape),
        "cell": np.array(cell),
        "heads": np.array(heads if each < features else 0),
    }


def _finite(array: Array) -> Array:
    """Magnitudes, infinite for what is not a number, as what is largest."""
    return np.nan_to_num(array, nan=np.inf, posinf=np.inf)


def _fitting(each: int, total: int, most: int, *, whole: bool = False) -> int:
    """How many of `each` make a cell, so that the cells of `total` are few enough.

    Args:
        each: a sequence's tokens, or a head's features.
        total: of all of them.
        most: cells, at most, unless each has one.
        whole: whether a cell must divide each.
    """
    least = min(each, -(-total // most))
    if not whole or each == total:
        return least
    return next(size for size in range(least, each + 1) if each % size == 0)


def _largest(array: Array, cell: tuple[int, int]) -> Array:
    """The largest of each cell of `[batch, sequence, features]`, as `[rows, columns]`."""
    tokens = np.maximum.reduceat(array, np.arange(0, array.shape[1], cell[0]), axis=1)
    cells = np.maximum.reduceat(tokens, np.arange(0, array.shape[2], cell[1]), axis=2)
    return cells.reshape(-1, cells.shape[-1]).astype(np.float32)
