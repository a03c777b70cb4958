"""One pair of arms, reduced: what generations differ by, and how much of that noise explains.

Other work comes in bursts, so each logarithm further than `CLIP` robust standard deviations from
the pair's median is moved there (winsorised), and variances are enlarged by the square of the share
that was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.judge.statistics import Turns

    Array = npt.NDArray[Any]

FEWEST_GENERATIONS = 3
"""With fewer there is no interval: the spread of two values says next to nothing."""
TINY = 1e-16
"""Variance of logs below which nothing varies."""
CLIP = 2.5
"""Robust standard deviations from the median beyond which a quad is disturbed."""
FEWEST_TO_CLIP = 8
"""With fewer quads in all, what looks disturbed may be the rule."""
MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One pair's quads, reduced.

    Attributes:
        means: of each generation.
        spread: S, the variance of `means`.
        noise: V, the part of S that noise within generations explains; None if unknown.
        within: variance of one quad within a generation; None if unknown.
        freedom: degrees of freedom of `within`.
        quads: in all.
    """

    means: Array
    spread: float
    noise: float | None
    within: float | None
    freedom: int
    quads: int


def log_ratios(arm: Turns, versus: Turns) -> list[Array]:
    """For each generation the quads that are complete in both: mean log of one less the other's."""
    found: dict[int, list[float]] = {}
    for place in sorted(arm.keys() & versus.keys()):
        if len(arm[place]) == len(versus[place]) == 2:
            difference = np.log(arm[place]).mean() - np.log(versus[place]).mean()
            found.setdefault(place[0], []).append(float(difference))
    return [np.array(values) for values in found.values()]


def log_times(arm: Turns) -> list[Array]:
    """For each generation the complete quads: mean log time."""
    found: dict[int, list[float]] = {}
    for place, times in sorted(arm.items()):
        if len(times) == 2:
            found.setdefault(place[0], []).append(float(np.log(times).mean()))
    return [np.array(values) for values in found.values()]


def parts_of(logs: Sequence[Array]) -> Parts:
    """Reduce the logarithms of quads, an array for each generation."""
    if not logs:
        return Parts(np.zeros(0), 0.0, None, None, 0, 0)
    clipped, kept = _clipped(logs)
    means = np.array([values.mean() for values in clipped])
    spread = float(means.var(ddof=1)) / kept**2 if len(means) > 1 else 0.0
    freedom = sum(len(values) - 1 for values in clipped)
    quads = sum(map(len, clipped))
    if not freedom:
        return Parts(means, spread, None, None, 0, quads)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in clipped)
    within = squares / freedom / kept**2
    each = float(np.mean([1 / len(values) for values in clipped]))
    return Parts(means, spread, within * each, within, freedom, quads)


def _clipped(logs: Sequence[Array]) -> tuple[list[Array], float]:
    """The values with those far from the median moved nearer, and the share that was not moved."""
    every = np.concatenate(logs)
    if len(every) < FEWEST_TO_CLIP:
        return list(logs), 1.0
    middle = float(np.median(every))
    reach = CLIP * MAD * float(np.median(np.abs(every - middle)))
    if not reach:
        return list(logs), 1.0
    kept = float((np.abs(every - middle) <= reach).mean())
    return [np.clip(values, middle - reach, middle + reach) for values in logs], kept
