"""What a ratio of times says, beside the same arm against itself in the same run.

    SAME          the ratio's 90% interval lies within the null's margin (two one-sided tests at 5%)
    FASTER        its 95% interval lies below 1, and the ratio beyond the margin
    SLOWER        its 95% interval lies above 1, and the ratio beyond the margin
    INCONCLUSIVE  none of these: so many further blocks would probably settle it

The margin is the farther end of the null's 95% interval from 1: a difference as large as that can
come from nothing. Two processes with the same code do differ a little, for as long as they live: of
17 false alarms in 200 replays of equal code, 10 were smaller than the margin of their own run. In
this order, so that what is resolved to be smaller than the margin is no difference, however certain
its sign. A null wider than `WIDEST_SAME` makes nothing the same, and bounds nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.judge.statistics import FEWEST_QUADS, TURNS_IN_QUAD

if TYPE_CHECKING:
    from bench.judge.statistics import Estimate

Verdict = Literal["FASTER", "SLOWER", "SAME", "INCONCLUSIVE"]

WIDEST_SAME = 1.05
"""The largest ratio that may be called no difference, however wide the null is."""

MOST_QUADS = 100_000
"""More than this is not proposed: such a difference is out of reach."""

_Z_95, _Z_90 = 1.960, 1.645


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict; `blocks_needed` are further turns of each arm, None unless INCONCLUSIVE."""

    verdict: Verdict
    blocks_needed: int | None = None


def margin_of(null: Estimate | None) -> float | None:
    """The null's margin as a ratio above 1; None where it has no interval, or is too wide."""
    if null is None or null.low is None or null.high is None:
        return None
    margin = math.exp(max(abs(math.log(null.low)), abs(math.log(null.high))))
    return margin if margin <= WIDEST_SAME else None


def judge(ratio: Estimate, margin: float | None) -> Judgement:
    """The verdict on a ratio of times.

    Args:
        ratio: arm over baseline.
        margin: see `margin_of`; None where there is no null, and nothing can be the SAME.
    """
    if ratio.low is None or ratio.high is None or ratio.low_90 is None or ratio.high_90 is None:
        missing = FEWEST_QUADS - ratio.quads
        return Judgement("INCONCLUSIVE", TURNS_IN_QUAD * max(1, missing))
    if margin is not None and 1 / margin < ratio.low_90 and ratio.high_90 < margin:
        return Judgement("SAME")
    if ratio.high < 1 and _beyond(ratio, margin):
        return Judgement("FASTER")
    if ratio.low > 1 and _beyond(ratio, margin):
        return Judgement("SLOWER")
    return Judgement("INCONCLUSIVE", _blocks_needed(ratio, margin))


def _beyond(ratio: Estimate, margin: float | None) -> bool:
    """Whether the ratio is farther from 1 than equal code may be."""
    return margin is None or abs(math.log(ratio.value)) > math.log(margin)


def _blocks_needed(ratio: Estimate, margin: float | None) -> int | None:
    """Turns until one of the verdicts, should the ratio and its spread stay.

    Widths shrink with the root of the number of quads, the margin's too.
    """
    effect, spread = abs(math.log(ratio.value)), ratio.spread or 0.0
    width = math.log(margin) if margin else 0.0
    counts = []
    if effect > 0:
        counts.append(max((_Z_95 * spread / effect) ** 2, ratio.quads * (width / effect) ** 2))
    if width > effect:
        counts.append((_Z_90 * spread / (width - effect)) ** 2)
    quads = min(counts, default=math.inf)
    if not quads < MOST_QUADS:
        return None
    return TURNS_IN_QUAD * max(1, math.ceil(quads) - ratio.quads)
