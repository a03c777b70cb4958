"""Legitimate ways to evaluate a GPT-2 in float32 where matrix products may use TF32.

NVIDIA's tensor cores read 10 of the 23 bits of each factor of a float32 product, and add the
products in float32. Whether the other 13 bits are rounded or cut off is left to the kernel: both
are legitimate, each in two orders of the sum. Everything but products is float32's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.judge.rounding import STORED_BITS, to_tf32
from verify.truth.float32 import Blocked, Pairwise, Reversed

if TYPE_CHECKING:
    from reference.checkpoint import Checkpoint
    from reference.oracle import Oracle
    from reference.trace import Array

_KEPT = np.uint32(0xFFFFFFFF << (STORED_BITS["float32"] - STORED_BITS["tf32"]) & 0xFFFFFFFF)
"""The bits of a float32 that are TF32's."""


def cut_to_tf32(x: Array) -> Array:
    """Float32 numbers less the bits that TF32 lacks, as hardware reads what was not rounded."""
    kept = np.ascontiguousarray(x, np.float32).view(np.uint32) & _KEPT
    result: Array = kept.view(np.float32)
    return result


class RoundedBlocked(Blocked):
    """Factors rounded; sums in blocks of K."""

    def matmul(self, a: Array, b: Array) -> Array:
        """A product of rounded factors."""
        return super().matmul(to_tf32(a), to_tf32(b))


class RoundedReversed(Reversed):
    """Factors rounded; sums from the last product to the first."""

    def matmul(self, a: Array, b: Array) -> Array:
        """A product of rounded factors."""
        return super().matmul(to_tf32(a), to_tf32(b))


class CutBlocked(Blocked):
    """Factors cut off; sums in blocks of K."""

    def matmul(self, a: Array, b: Array) -> Array:
        """A product of factors that were cut off."""
        return super().matmul(cut_to_tf32(a), cut_to_tf32(b))


class CutPairwise(Pairwise):
    """Factors cut off; K is halved until 16 are left."""

    def matmul(self, a: Array, b: Array) -> Array:
        """A product of factors that were cut off; cutting again changes nothing."""
        return super().matmul(cut_to_tf32(a), cut_to_tf32(b))


ORDERS: tuple[type[Oracle], ...] = (RoundedBlocked, RoundedReversed, CutBlocked, CutPairwise)


def evaluations(checkpoint: Checkpoint) -> list[Oracle]:
    """One model for each legitimate order."""
    return [order(checkpoint, np.float32) for order in ORDERS]
