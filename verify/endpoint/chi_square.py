"""Is a sample drawn from the model's distribution? Pearson's chi-square on a short vocabulary.

The likeliest tokens of one position, each expected `LEAST` times at least, are a cell each, and all
others are one more. What a right server's statistic exceeds once in `1 / LEVEL` samples is found by
drawing from the oracle's own distribution, so that few expected counts do no harm; how often right
servers would be rejected is then measured on other draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.trace import Array

LEVEL = 1e-4
"""How often a right server may be rejected."""

LEAST = 5.0
"""Draws that each cell is expected to have."""

MOST_CELLS = 12

DRAWN = 200_000
"""Samples of the oracle's distribution from which the limit is taken, and as many to measure it."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a sample says.

    Attributes:
        statistic: the sum of (found - expected)^2 / expected.
        limit: what a right server's exceeds with probability `LEVEL`.
        cells: how many tokens have one of their own, and one for all others.
        found, expected: draws in each cell, the likeliest token's first.
        false_alarms: share of right servers that would be rejected, as measured.
    """

    statistic: float
    limit: float
    cells: int
    found: tuple[int, ...]
    expected: tuple[float, ...]
    false_alarms: float

    @property
    def passed(self) -> bool:
        """Whether the sample may be of the distribution."""
        return self.statistic <= self.limit


def judged(tokens: Sequence[int], logprobs: Array, temperature: float, seed: int = 0) -> Sampled:
    """Compare drawn tokens with the distribution that they should be of.

    Args:
        tokens: ids, drawn independently.
        logprobs: of the oracle, `[vocab_size]`.
        temperature: that was asked for.
        seed: draws the samples that give the limit.
    """
    probabilities = at_temperature(logprobs, temperature)
    order = np.argsort(probabilities)[::-1]
    count = len(tokens)
    own = [one for one in order[:MOST_CELLS] if probabilities[one] * count >= LEAST]
    shares = np.array([probabilities[one] for one in own])
    shares = np.append(shares, max(1.0 - shares.sum(), 1e-12))
    shares /= shares.sum()
    place = {int(token): at for at, token in enumerate(own)}
    found = np.bincount([place.get(token, len(own)) for token in tokens], minlength=len(shares))
    rng = np.random.default_rng([seed, count])
    limit = float(np.quantile(_statistics(rng, shares, count), 1 - LEVEL, method="higher"))
    false = float((_statistics(rng, shares, count) > limit).mean())
    statistic = float(_statistic(found[None], shares * count)[0])
    return Sampled(statistic, limit, len(shares), tuple(int(one) for one in found),
                   tuple(float(one) for one in shares * count), false)  # fmt: skip


def at_temperature(logprobs: Array, temperature: float) -> Array:
    """Probabilities after the temperature."""
    scaled = logprobs / temperature
    weights: Array = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def _statistics(rng: np.random.Generator, shares: Array, count: int) -> Array:
    return _statistic(rng.multinomial(count, shares, size=DRAWN), shares * count)


def _statistic(found: Array, expected: Array) -> Array:
    result: Array = ((found - expected) ** 2 / expected).sum(axis=-1)
    return result
