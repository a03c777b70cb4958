"""From samples to a median and a ratio, each with an interval.

A turn's time is the median of its calls. Neighbouring turns are not independent (lag-1
autocorrelation up to 0.87 on a shared machine), so that quads are resampled, never single calls:

    ratio = exp(mean over quads of (mean log t_A - mean log t_B))

Both intervals are percentile bootstraps over quads, 95%. With few quads they are too narrow, and
with fewer than `FEWEST_QUADS` there is none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

RESAMPLES = 5000
FEWEST_QUADS = 4
TURNS_IN_QUAD = 2
LEVEL_PCT = 2.5, 97.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval; the bounds are None where there are too few quads."""

    value: float
    low: float | None
    high: float | None
    quads: int


Turns = dict[int, list[float]]
"""Quad -> the times of an arm's turns in it, in seconds."""


def turns(samples: Iterable[Mapping[str, Any]]) -> Turns:
    """Reduce one arm's samples of one workload to a time for each turn.

    Args:
        samples: each has `quad`, `block` and `time_ns`.
    """
    calls: dict[tuple[int, int], list[int]] = defaultdict(list)
    for sample in samples:
        calls[sample["quad"], sample["block"]].append(sample["time_ns"])
    found: Turns = defaultdict(list)
    for (quad, _), times in calls.items():
        found[quad].append(float(np.median(times)) / 1e9)
    return dict(found)


def median_time(arm: Turns, seed: int = 0) -> Estimate | None:
    """The median time of an arm's turns; None without a complete quad."""
    quads = [times for times in arm.values() if len(times) == TURNS_IN_QUAD]
    if not quads:
        return None
    table = np.array(quads)  # [quads, 2]
    resampled = table[_picks(len(table), seed)]  # [resamples, quads, 2]
    medians = np.median(resampled.reshape(RESAMPLES, -1), axis=1)
    return _estimate(float(np.median(table)), medians, len(table))


def time_ratio(arm: Turns, versus: Turns, seed: int = 0) -> Estimate | None:
    """Time of `arm` over time of `versus`, paired by quad; None without a quad complete in both."""
    quads = [
        quad
        for quad in arm.keys() & versus.keys()
        if len(arm[quad]) == len(versus[quad]) == TURNS_IN_QUAD
    ]
    if not quads:
        return None
    logs = np.array(
        [np.log(arm[quad]).mean() - np.log(versus[quad]).mean() for quad in sorted(quads)]
    )
    means = logs[_picks(len(logs), seed)].mean(axis=1)
    return _estimate(float(np.exp(logs.mean())), np.exp(means), len(logs))


def _picks(count: int, seed: int) -> Array:
    """Which quads each resample consists of: `[resamples, count]`."""
    return np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))


def _estimate(value: float, resampled: Array, quads: int) -> Estimate:
    if quads < FEWEST_QUADS:
        return Estimate(value, None, None, quads)
    low, high = (float(bound) for bound in np.percentile(resampled, LEVEL_PCT))
    return Estimate(value, low, high, quads)
