"""Where a server stops keeping up: its saturation curve, the knee of it, and its capacity.

The knee is the rate of arrivals at which the mean latency is twice the mean of a request alone.
Below it waiting costs less than the work itself, above it more, and soon without bound. Two queues
show what that means, with service time S and arrivals so frequent that the server is busy for a
share r of the time:

    M/M/1 (service times exponential)   mean = S / (1 - r)                  knee at r = 1/2
    M/D/1 (all the same)                mean = S (1 + r / (2 (1 - r)))      knee at r = 2/3

A server that works on many requests at once takes longer for each the more there are; the same
definition holds, with whatever it loses by that.

Between measured rates 1 / mean is interpolated on a straight line, which is exact for M/M/1. The
means are made to rise with the rate (isotonic regression), as they must, but for noise. The
interval is a bootstrap over blocks of neighbouring requests, because waiting requests wait
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

TWICE = 2.0
DRAWS = 1000
FEWEST_RATES = 2
BLOCKS = 20
"""Blocks that a rate's requests are cut into for the bootstrap, where there are enough."""


@dataclass(frozen=True, slots=True)
class Knee:
    """The knee of a curve, in requests a second.

    Attributes:
        rate: None where it lies beyond what was measured.
        low, high: of the 95% interval; None where that end lies beyond what was measured.
        beyond: `above` or `below` the measured rates, empty where it lies between.
        alone_ms: mean latency of a request alone.
    """

    rate: float | None
    low: float | None
    high: float | None
    beyond: Literal["", "above", "below"]
    alone_ms: float


def knee_of(
    alone_ms: Sequence[float], curve: Sequence[tuple[float, Sequence[float]]], seed: int = 0
) -> Knee | None:
    """Find the knee.

    Args:
        alone_ms: latencies of requests of which there is one at a time.
        curve: for each rate, in requests a second, latencies in ms in the order of arrival.
        seed: draws the bootstrap.

    Returns:
        None with fewer than two rates, or without a request alone.
    """
    curve = sorted((rate, list(times)) for rate, times in curve if len(times))
    if not len(alone_ms) or len(curve) < FEWEST_RATES:
        return None
    rates = np.array([rate for rate, _ in curve])
    samples = [np.asarray(times, float) for _, times in curve]
    alone = np.asarray(alone_ms, float)
    found = _crossing(rates, samples, float(alone.mean()))
    rng = np.random.default_rng(seed)
    draws = np.sort([
        _crossing(rates, [_resampled(one, rng) for one in samples],
                  float(_resampled(alone, rng).mean()))
        for _ in range(DRAWS)
    ])  # fmt: skip
    low, high = draws[int(0.025 * DRAWS)], draws[int(0.975 * DRAWS) - 1]
    beyond: Literal["", "above", "below"] = (
        "above" if found == np.inf else "below" if found == -np.inf else ""
    )
    return Knee(_finite(found), _finite(low), _finite(high), beyond, float(alone.mean()))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _crossing(rates: Array, samples: Sequence[Array], alone: float) -> float:
    """The rate at which the mean is twice that of a request alone; infinite beyond the ends."""
    means = np.array([one.mean() for one in samples])
    weights = np.array([len(one) for one in samples], float)
    rising = optimize.isotonic_regression(means, weights=weights).x
    speeds, wanted = 1 / rising, 1 / (TWICE * alone)
    if speeds[-1] > wanted:
        return float("inf")
    if speeds[0] <= wanted:
        return float("-inf")
    after = int(np.argmax(speeds <= wanted))
    share = (speeds[after - 1] - wanted) / (speeds[after - 1] - speeds[after])
    return float(rates[after - 1] + share * (rates[after] - rates[after - 1]))


def _resampled(values: Array, rng: np.random.Generator) -> Array:
    """Blocks of neighbours drawn with replacement, as many values as before."""
    size = max(1, len(values) // BLOCKS)
    count = -(-len(values) // size)
    starts = rng.integers(0, len(values) - size + 1, count)
    return values[(starts[:, None] + np.arange(size)).ravel()[: len(values)]]
