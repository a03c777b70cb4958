"""Legitimate ways to evaluate a GPT-2 in bfloat16 or float16.

Sums are always kept in float32, as every kernel that is sold for these precisions does. Where
results are rounded is left open: a fused kernel rounds once, when a stage's result is stored
(`Fused`), a chain of library calls after every elementary operation (`Stepwise`). Real programs mix
both. Everything is computed in float32 and rounded by way of the 16-bit format.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from impl.config import GELU_CUBE, GELU_SLOPES
from reference.dtypes import DTYPES, is_floating
from reference.oracle import Oracle
from reference.trace import Recorder
from verify.truth.float32 import Blocked, Reversed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.checkpoint import Checkpoint
    from reference.trace import Array


class StoringRecorder(Recorder):
    """Every value that comes by is stored in 16 bits, and goes on as what was stored."""

    def __init__(self, given: Mapping[str, Array] | None, dtype: np.dtype) -> None:
        super().__init__(given)
        self._dtype = dtype

    def __call__(self, tap: str, value: Array) -> Array:
        """Round, record, and return what the model shall go on with, in float32."""
        if not is_floating(value):
            return super().__call__(tap, value)
        return super().__call__(tap, value.astype(self._dtype)).astype(np.float32)


class Fused(Oracle):
    """Float32 inside a stage; its result is rounded once, when it is stored.

    Args:
        checkpoint: its weights are numbers of `dtype` already (`reference.dtypes.rounded`).
        dtype: `bfloat16` or `float16`.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: str) -> None:
        super().__init__(checkpoint, np.float32)
        self.stored_dtype = DTYPES[dtype]

    def recorder(self, given: Mapping[str, Array] | None) -> Recorder:
        """Stores every tap."""
        return StoringRecorder(given, self.stored_dtype)

    def stored(self, x: Array) -> Array:
        """Rounded to the 16-bit format, in float32 again."""
        with np.errstate(over="ignore"):  # beyond float16's range a number is infinite
            return x.astype(self.stored_dtype).astype(np.float32)

    def add(self, x: Array, y: Array) -> Array:
        """The residual stream is always stored."""
        return self.stored(x + y)


class FusedBlocked(Fused, Blocked):
    """Sums in blocks of K."""


class FusedReversed(Fused, Reversed):
    """Sums from the last product to the first, LayerNorm in one pass, queries scaled first."""


class Stepwise(Fused):
    """Every elementary operation's result is rounded, as by a chain of PyTorch's functions.

    A function such as exp or tanh, a matrix product and the mean and variance of a row are one
    operation each.
    """

    def matmul(self, a: Array, b: Array) -> Array:
        """A product, accumulated in float32."""
        return self.stored(super().matmul(a, b))

    def linear(self, x: Array, path: str) -> Array:
        """The bias is added to the stored product."""
        return self.stored(super().linear(x, path))

    def attend(self, fused: Array, path: str) -> Array:
        """Scores, scaled scores and probabilities are stored."""
        query, key, value = map(self.split_heads, np.split(fused, 3, axis=-1))
        scale = self.scale(path)
        scores = self.stored(self.matmul(query, key.swapaxes(-1, -2)) * scale)
        return self.merge_heads(self.matmul(self.softmax(self.masked(scores)), value))

    def softmax(self, scores: Array) -> Array:
        """Difference, exp, sum and quotient are stored."""
        weights = self.stored(np.exp(self.stored(scores - scores.max(axis=-1, keepdims=True))))
        return self.stored(weights / self.stored(weights.sum(axis=-1, keepdims=True)))

    def normalise(self, x: Array) -> Array:
        """The normalised row is stored."""
        return self.stored(super().normalise(x))

    def layer_norm(self, x: Array, path: str) -> Array:
        """So is the scaled one."""
        scaled = self.stored(self.normalise(x) * self.weights[f"{path}.weight"])
        return self.stored(scaled + self.weights[f"{path}.bias"])

    def gelu(self, x: Array, slope: float = GELU_SLOPES["gelu_tanh"]) -> Array:
        """As `transformers` writes it, each operation stored."""
        cube = self.stored(self.number(GELU_CUBE) * self.stored(x * x * x))
        inner = self.stored(self.number(slope) * self.stored(x + cube))
        return self.stored(self.number(0.5) * x * self.stored(1 + self.stored(self.tanh(inner))))

    def gelu_erf(self, x: Array) -> Array:
        """Argument, erf, sum and product are stored."""
        bent = self.stored(self.erf(self.stored(x * self.number(math.sqrt(0.5)))))
        return self.stored(self.number(0.5) * x * self.stored(1 + bent))

    def silu(self, x: Array, slope: float = 1.0) -> Array:
        """Argument, sigmoid and product are stored."""
        return self.stored(x * self.stored(self.sigmoid(self.stored(self.number(slope) * x))))


class StepwiseScaledFirst(Stepwise):
    """Queries are scaled first, weights normalised last; GELU's half is taken inside."""

    def attend(self, fused: Array, path: str) -> Array:
        """Scaled queries, scores, weights and their product with the values are stored."""
        query, key, value = map(self.split_heads, np.split(fused, 3, axis=-1))
        query = self.stored(query * self.scale(path))
        scores = self.masked(self.matmul(query, key.swapaxes(-1, -2)))
        shifted = self.stored(scores - scores.max(axis=-1, keepdims=True))
        weights = self.stored(np.exp(shifted))
        total = self.stored(weights.sum(axis=-1, keepdims=True))
        return self.merge_heads(self.stored(self.matmul(weights, value) / total))

    def gelu(self, x: Array, slope: float = GELU_SLOPES["gelu_tanh"]) -> Array:
        """The half taken inside; the argument as x (1 + 0.044715 x^2) sqrt(2/pi)."""
        square = self.stored(self.number(GELU_CUBE) * self.stored(x * x))
        inner = self.stored(self.stored(x * self.number(slope)) * self.stored(1 + square))
        half = self.stored(self.number(0.5) * self.stored(1 + self.stored(self.tanh(inner))))
        return self.stored(x * half)

    def gelu_erf(self, x: Array) -> Array:
        """The half taken inside."""
        bent = self.stored(self.erf(self.stored(x * self.number(math.sqrt(0.5)))))
        return self.stored(x * self.stored(self.number(0.5) * self.stored(1 + bent)))

    def silu(self, x: Array, slope: float = 1.0) -> Array:
        """A quotient: x / (1 + exp(-x)), every operation stored."""
        with np.errstate(over="ignore"):
            raised = self.stored(np.exp(self.stored(self.number(-slope) * x)))
        return self.stored(x / self.stored(1 + raised))


ORDERS: tuple[type[Fused], ...] = (FusedBlocked, FusedReversed, Stepwise, StepwiseScaledFirst)


def evaluations(checkpoint: Checkpoint, dtype: str) -> list[Oracle]:
    """One model for each legitimate order, in `bfloat16` or `float16`."""
    return [order(checkpoint, dtype) for order in ORDERS]
