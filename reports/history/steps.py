"""Where the figures of one machine stepped, and the noise that they lie in between.

A control chart, as Shewhart drew them: figures of equal code scatter, by what runs of one machine
differ by, and a figure beyond three standard deviations of that is not scatter. The deviation is
1.4826 times the median absolute difference of neighbouring runs, over the square root of two: a
step is one difference among many, and does not widen it. All in logarithms.

A step needs two runs in a row beyond the noise on the same side, or the newest run, which has no
next one yet: one in between that is alone is an outlier. Slow drift is followed, not marked: a
level is the median of its last runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from reports.history.entries import is_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.history.entries import Point

LEAST = 8
"""Runs that tell the noise; with fewer, neighbours are compared by their intervals."""

WIDTH = 3.0
"""Standard deviations."""

RECENT = 50
"""Runs that a level is the median of, at most."""

NORMAL = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Level:
    """Runs in a row whose figures differ by no more than noise.

    Attributes:
        points: theirs, outliers included.
        low, middle, high: what the noise spans; None where too few runs tell it.
    """

    points: Sequence[Point]
    low: float | None
    middle: float
    high: float | None


def levels(points: Sequence[Point]) -> list[Level]:
    """The levels of a line, one after the other; between two of them is a step."""
    if len(points) < LEAST or any(point.value <= 0 for point in points):
        return by_neighbours(points)
    values = [math.log(point.value) for point in points]
    noise = deviation(values)
    doubts = _doubts(points)
    starts, inside = [0], [values[0]]
    for at in range(1, len(values)):
        side = _beyond(values[at], doubts[at], inside, noise)
        if side and (at + 1 == len(values) or _again(side, at + 1, values, doubts, inside, noise)):
            starts.append(at)
            inside = []
        if not side or not inside:
            inside.append(values[at])
            inside = inside[-RECENT:]
    ends = [*starts[1:], len(points)]
    return [_level(points[i:j], values[i:j], noise) for i, j in zip(starts, ends, strict=True)]


def by_neighbours(points: Sequence[Point]) -> list[Level]:
    """A level ends where two neighbouring figures differ by themselves (`is_step`)."""
    parts: list[list[Point]] = [[point] for point in points[:1]]
    for before, after in pairwise(points):
        if is_step(before, after):
            parts.append([])
        parts[-1].append(after)
    return [Level(part, None, median(p.value for p in part), None) for part in parts]


def deviation(values: Sequence[float]) -> float:
    """By what runs of equal code differ: a standard deviation that steps do not widen."""
    return NORMAL * median(abs(b - a) for a, b in pairwise(values)) / math.sqrt(2)


def _beyond(value: float, doubt: float, inside: Sequence[float], noise: float) -> int:
    """1 or -1 for a value above or below a level's noise, 0 within it.

    The level's median has an error of its own, that of the median of so many runs.
    """
    allowed = WIDTH * noise * math.sqrt(doubt**2 + math.pi / 2 / len(inside))
    distance = value - median(inside)
    return 0 if abs(distance) <= allowed else int(math.copysign(1, distance))


def _again(
    side: int, at: int, values: Sequence[float], doubts: Sequence[float],
    inside: Sequence[float], noise: float,
) -> bool:  # fmt: skip
    """Whether the next run lies beyond the noise on the same side."""
    return _beyond(values[at], doubts[at], inside, noise) == side


def _doubts(points: Sequence[Point]) -> list[float]:
    """How much less certain each run is than the usual one, by the widths of intervals; 1 at least.

    What a run is usually off by is in the noise already.
    """
    widths = [math.log(p.high / p.low) if p.low and p.high else 0.0 for p in points]
    usual = median(widths)
    return [max(1.0, width / usual) if usual else 1.0 for width in widths]


def _level(points: Sequence[Point], values: Sequence[float], noise: float) -> Level:
    middle = median(values)
    low, high = (math.exp(middle + sign * WIDTH * noise) for sign in (-1, 1))
    return Level(points, low, math.exp(middle), high)
