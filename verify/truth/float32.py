"""Legitimate ways to evaluate a GPT-2 in a given precision.

Two correct programs differ, because floating-point sums depend on their order. Each class here is
the oracle's model evaluated in another order that a correct kernel may use; together they span the
envelope that a correct candidate has to stay within. None is tuned to any candidate. Each way to
compute something occurs in two orders at least, so that each order can be judged by the others.

Orders that need a Python loop over K are evaluated on a sample of the rows of each product: a
product's rows do not depend on each other. The rows left out hold NaN, which spreads to whatever is
computed from them, and `verify.truth.envelope` reads only what is finite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from reference.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reference.checkpoint import Checkpoint
    from reference.trace import Array

SAMPLED_ELEMENTS = 1 << 16
"""Results of a sampled product that are computed; 65,536 fill a level-2 cache and a histogram."""

LEAST_ROWS = 4
"""Rows of a sampled product that are computed at least, however wide it is."""


class Blocked(Oracle):
    """What NumPy's BLAS does: sums in blocks of K, LayerNorm in two passes, softmax by exp."""


class FastExponentials(Oracle):
    """Softmax by exp2, tanh and its kin through exp, as kernels for wide vector units have them."""

    def softmax(self, scores: Array) -> Array:
        """2^(s log2 e), multiplied by the reciprocal of its sum."""
        shifted = (scores - scores.max(axis=-1, keepdims=True)) * self.number(math.log2(math.e))
        weights: Array = np.exp2(shifted)
        return weights * (1 / weights.sum(axis=-1, keepdims=True))

    def tanh(self, x: Array) -> Array:
        """1 - 2 / (exp(2x) + 1)."""
        with np.errstate(over="ignore"):  # exp overflows to inf, whose reciprocal is the right 0
            return 1 - 2 / (np.exp(2 * x) + 1)

    def sigmoid(self, x: Array) -> Array:
        """0.5 + 0.5 tanh(x / 2)."""
        half = self.number(0.5)
        return half + half * self.tanh(half * x)

    def gelu_erf(self, x: Array) -> Array:
        """X (0.5 erfc(-x / sqrt(2)))."""
        return x * (self.number(0.5) * special.erfc(x * self.number(-math.sqrt(0.5))))


class Pairwise(FastExponentials):
    """K is halved until 16 are left, and the halves are added."""

    def matmul(self, a: Array, b: Array) -> Array:
        """Sum over the first half of K plus sum over the second half."""
        size = a.shape[-1]
        if size <= 16:
            return super().matmul(a, b)
        half = size // 2
        total = self.matmul(a[..., :half], b[..., :half, :])
        total += self.matmul(a[..., half:], b[..., half:, :])
        return total


class Sequential(Oracle):
    """One product after another along K, as a plain loop does; LayerNorm in one pass.

    Attributes:
        sampled: results of a product that are computed.
    """

    sampled = SAMPLED_ELEMENTS

    def order(self, size: int) -> Iterable[int]:
        """The order in which the `size` products of a sum are added."""
        return range(size)

    def matmul(self, a: Array, b: Array) -> Array:
        """Sequential sums for a sample of the rows of `a`; NaN in the others."""
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        result = np.full((*batch, a.shape[-2], b.shape[-1]), np.nan, self.dtype)
        if b.ndim == 2:  # a linear layer: every row of every batch is one of its rows
            flat, out = a.reshape(-1, a.shape[-1]), result.reshape(-1, b.shape[-1])
            rows = _sample(len(flat), b.shape[-1], self.sampled)
            out[rows] = self._sum_in_order(flat[rows], b)
            return result
        rows = _sample(a.shape[-2], b.shape[-1] * math.prod(batch), self.sampled)
        result[..., rows, :] = self._sum_in_order(a[..., rows, :], b)
        return result

    def _sum_in_order(self, a: Array, b: Array) -> Array:
        total = np.zeros((*a.shape[:-1], b.shape[-1]), self.dtype)
        product = np.empty_like(total)
        b = np.ascontiguousarray(b)  # a transposed embedding is read 16 times faster by rows
        for k in self.order(a.shape[-1]):
            np.multiply(a[..., :, k, None], b[..., k, None, :], out=product)
            total += product
        return total

    def normalise(self, x: Array) -> Array:
        """Variance as mean(x^2) - mean(x)^2: one pass over the features, and some cancellation."""
        mean = x.mean(axis=-1, keepdims=True)
        variance = (x * x).mean(axis=-1, keepdims=True) - mean * mean
        epsilon = self.number(self.config.layer_norm_epsilon)
        return (x - mean) * (1 / np.sqrt(variance + epsilon))


class Reversed(FastExponentials, Sequential):
    """From the last product of a sum to the first; queries are scaled before they meet the keys."""

    def order(self, size: int) -> Iterable[int]:
        """Backwards."""
        return range(size - 1, -1, -1)

    def attend(self, fused: Array, path: str) -> Array:
        """Scale the queries first and divide by the weights' sum last, as fused kernels do."""
        query, key, value = map(self.split_heads, np.split(fused, 3, axis=-1))
        query = query * self.scale(path)
        scores = self.masked(self.matmul(query, key.swapaxes(-1, -2)))
        weights: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return self.merge_heads(self.matmul(weights, value) / weights.sum(axis=-1, keepdims=True))


ORDERS: tuple[type[Oracle], ...] = (Blocked, Pairwise, Sequential, Reversed)


def evaluations(checkpoint: Checkpoint) -> list[Oracle]:
    """One model for each legitimate order, in float32."""
    return [order(checkpoint, np.float32) for order in ORDERS]


def _sample(rows: int, width: int, elements: int) -> Array:
    """Evenly spaced row numbers, counted from the last, that keep results near `elements`.

    The stride is a power of two, so that a coarser sample lies within a finer one.
    """
    wanted = max(LEAST_ROWS, elements // width)
    stride = 1
    while rows / stride > wanted:
        stride *= 2
    return np.arange(rows - 1, -1, -stride)
