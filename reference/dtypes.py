"""The precisions that a model may declare, and checkpoints rounded to them.

NumPy has no bfloat16 of its own; importing this module makes `np.dtype("bfloat16")` known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

from reference.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from reference.checkpoint import Checkpoint
    from reference.trace import Array

DTYPES = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
"""By name, what NumPy holds the numbers in."""

DECLARED = ("float32", "bfloat16", "float16")
"""The precisions that `--dtype` takes; float64 is for the mathematics alone."""


def is_floating(array: Array) -> bool:
    """Whether an array holds floating-point numbers, bfloat16 included."""
    return array.dtype.kind == "f" or array.dtype == DTYPES["bfloat16"]


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """Half the gap between 1 and the next number: 2^-24 for float32, 2^-8 for bfloat16."""
    return float(np.spacing(np.ones((), dtype))) / 2


def held_in(dtype: str, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Float32 weights rounded to `dtype` and held in it; those that share memory go on sharing."""
    made: dict[int, Array] = {}
    for array in weights.values():
        if id(array) not in made:
            narrow = array.dtype == np.float32
            made[id(array)] = array.astype(DTYPES[dtype], copy=False) if narrow else array
    return {name: made[id(array)] for name, array in weights.items()}


def rounded(checkpoint: Checkpoint, dtype: str) -> Checkpoint:
    """The checkpoint with every weight rounded to `dtype`, still held in float32.

    Raises:
        CheckpointError: where a weight is too large for it.
    """
    if dtype in ("float32", "float64"):
        return checkpoint
    with np.errstate(over="ignore"):
        weights = {
            name: array.astype(DTYPES[dtype]).astype(np.float32)
            for name, array in checkpoint.weights.items()
        }
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} holds numbers too large for {dtype}")
    return replace(checkpoint, weights=weights)
