"""Legitimate ways to evaluate a GPT-2 whose linear layers multiply bfloat16 by bfloat16.

The hardware for it (AVX512_BF16, AMX) takes both factors in bfloat16 and adds their products in
float32. So what a linear layer or the head reads is rounded to bfloat16, as its weights are;
everything else is float32's: residual stream, LayerNorm, attention, activation. Products of
bfloat16 are exact in float32, so that legitimate evaluations differ in the order of their sums
alone, and in the roundings that another order turns over.
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


def evaluations(checkpoint: Checkpoint) -> list[Oracle]:
    """One model for each legitimate order."""
    return [order(checkpoint, np.float32) for order in ORDERS]
