"""Probing activations: inputs to single stages that leave faults nowhere to hide.

A stage in isolation can be fed anything. On a model's own activations a LayerNorm's epsilon
vanishes next to the variance, a mask of -1e4 weighs exactly as little as -inf, and GELU is seen
only near 0. The probe changes the given activations so that each of these matters; truth and
envelope are computed from the same activations, so that nothing about the rule changes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

from verify.judge.metrics import rms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from impl.config import GPT2Config
    from reference.trace import Array

RESIDUAL_RMS = 0.01
"""Of the residual stream: its variance, 1e-4, is near LayerNorm's epsilon of 1e-5."""

SCORE_RMS = 1e6
"""Of every other head's scores: enough to lift scores that a mask lowers by 1e5 above others. Less
where the dtype cannot hold query times key."""

HEADROOM = 2.0
"""Largest number of the dtype over the largest product of a query and a key."""

MLP_RMS = 3.0
"""Of what GELU is given: its curved part and both of its tails."""

_RESIDUAL = ("wte", "wpe", "attn")


def probe(given: Mapping[str, Array], config: GPT2Config) -> dict[str, Array]:
    """The given activations, changed where that makes a stage more telling; shapes stay."""
    return {tap: _changed(tap, array, config) for tap, array in given.items()}


def _changed(tap: str, array: Array, config: GPT2Config) -> Array:
    name = tap.rsplit(".", 1)[-1]
    if name in _RESIDUAL or name.isdecimal():
        return _scaled_to(array, RESIDUAL_RMS)
    if name == "c_fc":
        return _scaled_to(array, MLP_RMS)
    if name == "c_attn":
        return _with_large_scores(array, config)
    return array


def _scaled_to(array: Array, target: float) -> Array:
    size = rms(array.astype(np.float64))
    return array if size == 0 else (array * (target / size)).astype(array.dtype)


def _with_large_scores(fused: Array, config: GPT2Config) -> Array:
    """Queries and keys of every other head scaled; the others stay as the model has them.

    A score is a sum of K products over sqrt(K), so its rms is the product of both factors' rms.
    """
    batch, length, _ = fused.shape
    heads = fused.reshape(batch, length, 3, config.n_head, config.head_dim).copy()
    for part in (0, 1):
        heads[:, :, part, ::2] = _scaled_to(heads[:, :, part, ::2], math.sqrt(SCORE_RMS))
    room = float(ml_dtypes.finfo(fused.dtype).max) / HEADROOM  # type: ignore[no-untyped-call]
    peak = _largest_product(heads[:, :, :, ::2].astype(np.float64))
    if peak > room:
        heads[:, :, :2, ::2] *= np.asarray(math.sqrt(room / peak), fused.dtype)
    return heads.reshape(fused.shape)


def _largest_product(heads: Array) -> float:
    """The largest magnitude of a query times a key, of `[B, S, 3, H, K]`."""
    query, key = heads[:, :, 0].swapaxes(1, 2), heads[:, :, 1].swapaxes(1, 2)  # [B, H, S, K]
    return float(np.abs(query @ key.swapaxes(-1, -2)).max())
