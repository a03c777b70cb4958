"""The next token, drawn from the logits of the last position.

    p = softmax(logits / temperature), cut to the top k, then to the top p, and scaled to sum 1

In float64, in the order that transformers applies them. Temperature 0 takes the best token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class SamplingError(ValueError):
    """Settings or logits that no token can be drawn from, told in one sentence."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """How to draw tokens, and the random stream that they are drawn with.

    Attributes:
        temperature: divides the logits; 0 is greedy and draws nothing.
        top_k: keep the k best tokens, and those that tie with the k-th; 0 keeps all.
        top_p: keep the smallest set of best tokens whose probability reaches this; 1 keeps all.
        seed: starts the random stream; None takes one from the operating system.

    Raises:
        SamplingError: for a setting out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    _rng: np.random.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the settings and start the random stream."""
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise SamplingError(
                f"temperature must be a finite number, 0 or more, not {self.temperature}"
            )
        if self.top_k < 0:
            raise SamplingError(f"top_k must be 0 (off) or more, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise SamplingError(f"top_p must lie above 0 and at most at 1, not {self.top_p}")
        if self.seed is not None and self.seed < 0:
            raise SamplingError(f"seed must be 0 or more, not {self.seed}")
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    def __call__(self, logits: Array) -> Array:
        """Draw one token for each row of `logits` `[batch, vocab]`: int64 `[batch]`.

        Raises:
            SamplingError: for logits of another rank, without a token, or not finite.
        """
        if self.temperature == 0:
            best: Array = _checked(logits).argmax(axis=-1)
            return best
        cumulative = self.probabilities(logits).cumsum(axis=-1)  # [batch, vocab]
        cumulative /= cumulative[:, -1:]  # exactly 1 at the end, above every draw
        draws = self._rng.random((len(cumulative), 1))  # [batch, 1], in [0, 1)
        tokens: Array = (cumulative > draws).argmax(axis=-1)
        return tokens

    def probabilities(self, logits: Array) -> Array:
        """What `__call__` draws from: float64 `[batch, vocab]`, 0 for the tokens cut off.

        Args:
            logits: finite numbers `[batch, vocab]`.

        Raises:
            SamplingError: for logits of another rank, without a token, or not finite.
        """
        logits = _checked(logits)
        if self.temperature == 0:
            best: Array = logits.argmax(axis=-1, keepdims=True) == np.arange(logits.shape[1])
            return best.astype(np.float64)
        # The k best are chosen before logits that hardly differ become one score.
        scores = _scaled(_top_k(logits, self.top_k), self.temperature)
        return _top_p(scores, self.top_p)


def _checked(logits: Array) -> Array:
    """Return the logits in float64."""
    if logits.ndim != 2 or logits.size == 0:
        raise SamplingError(f"logits must be [batch, vocab], not {list(logits.shape)}")
    if not np.isfinite(logits).all():
        raise SamplingError("the logits hold NaN or infinity, so that no token can be drawn")
    return logits.astype(np.float64)


def _scaled(logits: Array, temperature: float) -> Array:
    """Scores whose best is 0; a tiny temperature sends the others to -inf, never to NaN."""
    with np.errstate(over="ignore"):
        scores: Array = (logits - logits.max(axis=-1, keepdims=True)) / temperature
    return scores


def _top_k(logits: Array, k: int) -> Array:
    """Send all but the `k` best of each row, and those equal to the k-th, to -inf."""
    if k == 0 or k >= logits.shape[-1]:
        return logits
    kth = np.partition(logits, -k, axis=-1)[:, -k, None]  # [batch, 1]
    return np.where(logits < kth, -np.inf, logits)


def _softmax(scores: Array) -> Array:
    """Probabilities from scores whose best is 0."""
    weights = np.exp(scores)
    probabilities: Array = weights / weights.sum(axis=-1, keepdims=True)
    return probabilities


def _top_p(scores: Array, p: float) -> Array:
    """Keep tokens from the best on, until their probability reaches `p`; of equals, lower ids."""
    probabilities = _softmax(scores)
    if p == 1:
        return probabilities
    order = np.argsort(-scores, axis=-1, kind="stable")  # scores may differ where exp() rounds
    ranked = np.take_along_axis(probabilities, order, axis=-1)
    before = ranked.cumsum(axis=-1) - ranked  # the probability of all better tokens
    before[:, 0] = 0.0  # the best token always stays
    np.put_along_axis(probabilities, order, np.where(before < p, ranked, 0.0), axis=-1)
    kept: Array = probabilities / probabilities.sum(axis=-1, keepdims=True)
    return kept
