"""From samples to turns, and what can be said of independent values.

A turn has two times. What a row shows as the time of its arm is the median of the turn's calls,
what a caller typically waits. Arms are compared by the *fastest* call of each turn: whatever else a
machine does makes a call longer and never shorter, so the fastest tells most about the code (Chen
and Revels 2016, "Robust benchmarking in noisy environments"). Seen on two CPUs whose cores were
shared with strangers, who slowed a loop of Python by half for 10 to 100 ms at a time and showed in
no counter: the spread of a quad's ratio, with eight calls in a turn, fell from 7.5% to 4.0% (max)
and from 7.3% to 5.6% (torch), so that the same interval takes a quarter and 0.6 of the turns. Where
a call is so long that a turn has only one, both are the same.

Neighbouring turns are not independent (lag-1 autocorrelation up to 0.87 on a shared machine), and
the turns of one process share its luck: ratios and medians of turns, with their intervals, are
`bench.judge.estimate`'s.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TURNS_IN_QUAD = 2

FEWEST_FOR_PERCENTILE = {90: 29, 95: 59, 99: 299}
"""Samples of which the largest lies above the percentile with 95% probability:
1 - (p / 100)^n >= 0.95."""

FEWEST_FOR_MEDIAN = 6
"""Values whose extremes enclose the median with 95% probability: 1 - 2^(1 - n) >= 0.95."""

Turns = dict[tuple[int, int], list[float]]
"""(generation, quad) -> the times of an arm's turns in it, in seconds."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median and its 95% interval; None where there are too few values."""

    value: float
    low: float | None
    high: float | None


Call = Literal["typical", "fastest"]
"""Which of a turn's calls is its time: the median, or the shortest."""


def turns(
    samples: Iterable[Mapping[str, Any]], *, call: Call = "typical", clean_only: bool = False
) -> Turns:
    """Reduce one arm's samples of one workload to a time for each turn.

    Args:
        samples: each has `quad`, `block` and `time_ns`, and a `generation`, without which (formats
            1 and 2) all were taken by one process.
        call: which is the time of its turn: the typical one is what a caller waits, the fastest is
            what arms are compared by.
        clean_only: leave out turns that were disturbed (`clean` is false).
    """
    calls: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for sample in samples:
        if not clean_only or sample["clean"]:
            place = sample.get("generation") or 0, sample["quad"], sample["block"]
            calls[place].append(sample["time_ns"])
    one = np.min if call == "fastest" else np.median
    found: Turns = defaultdict(list)
    for (generation, quad, _), times in calls.items():
        found[generation, quad].append(float(one(times)) / 1e9)
    return dict(found)


def median_of(values: Sequence[float]) -> Median:
    """The median of independent values, between the order statistics that enclose it."""
    middle = float(np.median(values))
    if len(values) < FEWEST_FOR_MEDIAN:
        return Median(middle, None, None)
    between: Any = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    return Median(middle, float(between.low), float(between.high))


def effective_count(values: Sequence[float]) -> float:
    """How many independent values tell as much: n (1 - r) / (1 + r), r the lag-1 autocorrelation.

    A negative autocorrelation counts as none.
    """
    count = len(values)
    centred = np.asarray(values, float) - np.mean(values) if count else np.zeros(0)
    power = float((centred**2).sum())
    if count < 3 or power == 0.0:
        return float(count)
    lag_1 = max(0.0, float((centred[1:] * centred[:-1]).sum()) / power)
    return count * (1 - lag_1) / (1 + lag_1)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """A percentile, or None where there are too few values to know it."""
    if len(values) < FEWEST_FOR_PERCENTILE.get(percent, 1):
        return None
    return float(np.percentile(values, percent))
