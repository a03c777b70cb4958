"""Legitimate ways to evaluate a GPT-2 whose linear layers multiply bfloat16 by bfloat16.

The hardware for it (AVX512_BF16, AMX) takes both factors in bfloat16 and adds their products in
float32. So what a linear layer or the head reads is rounded to bfloat16, as its weights are;
everything else is float32's: residual stream, LayerNorm, attention, activation. Products of
bfloat16 are exact in float32, so that legitimate evaluations differ in the order of their sums
alone, and in the roundings that another order turns over.

A cache of bfloat16 rounds keys and values too: those of the tokens before and each token's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.oracle import Oracle
from verify.judge.rounding import to_bf16
from verify.truth.float32 import Blocked, Pairwise, Reversed, Sequential

if TYPE_CHECKING:
    from reference.checkpoint import Checkpoint
    from reference.trace import Array


class Rounded(Oracle):
    """Both factors of a product with weights are rounded; those of attention are not."""

    def matmul(self, a: Array, b: Array) -> Array:
        """A product of rounded factors where `b` is one matrix; rounding again changes nothing."""
        if b.ndim == 2:
            a, b = to_bf16(a), to_bf16(b)
        return super().matmul(a, b)


class RoundedBlocked(Rounded, Blocked):
    """Sums in blocks of K."""


class RoundedPairwise(Rounded, Pairwise):
    """K is halved until 16 are left."""


class RoundedSequential(Rounded, Sequential):
    """One product after another along K."""


class RoundedReversed(Rounded, Reversed):
    """Sums from the last product to the first."""


ORDERS: tuple[type[Oracle], ...] = (
    RoundedBlocked, RoundedPairwise, RoundedSequential, RoundedReversed,
)  # fmt: skip


class Kept(Rounded):
    """Keys and values are rounded as well; queries, scores and weights of attention are not."""

    def attend(self, fused: Array, path: str) -> Array:
        """Attention to what a cache of bfloat16 holds."""
        query, key, value = np.split(fused, 3, axis=-1)
        return super().attend(np.concatenate([query, to_bf16(key), to_bf16(value)], -1), path)


class KeptBlocked(Kept, RoundedBlocked):
    """Sums in blocks of K."""


class KeptPairwise(Kept, RoundedPairwise):
    """K is halved until 16 are left."""


class KeptSequential(Kept, RoundedSequential):
    """One product after another along K."""


class KeptReversed(Kept, RoundedReversed):
    """Sums from the last product to the first."""


ORDERS_KEPT: tuple[type[Oracle], ...] = (
    KeptBlocked, KeptPairwise, KeptSequential, KeptReversed,
)  # fmt: skip


def evaluations(checkpoint: Checkpoint, *, kept: bool = False) -> list[Oracle]:
    """One model for each legitimate order.

    Args:
        checkpoint: configuration and weights.
        kept: whether keys and values are of bfloat16 too.
    """
    return [order(checkpoint, np.float32) for order in (ORDERS_KEPT if kept else ORDERS)]
