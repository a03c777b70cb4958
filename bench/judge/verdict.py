"""What a ratio of times says.

    SAME          its 90% interval lies within the margin (two one-sided tests at 5%)
    FASTER        its 95% interval lies below 1
    SLOWER        its 95% interval lies above 1
    INCONCLUSIVE  none of these: so many further processes, or quads, would probably settle it

In this order, so that what is resolved to be smaller than the margin is no difference, however
certain its sign. The margin is the user's: what difference would matter (`--margin`, 1%). That two
processes with the same code differ is in the interval already (`bench.judge.estimate`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scipy import stats

from bench.judge.parts import FEWEST_GENERATIONS

if TYPE_CHECKING:
    from bench.judge.estimate import Estimate

Verdict = Literal["FASTER", "SLOWER", "SAME", "INCONCLUSIVE"]

MARGIN = 0.01
"""The default: differences below 1% matter to nobody who can only measure 1.5%."""

MOST_PROCESSES, MOST_QUADS = 200, 2000
"""More of an arm, or in a generation, are not proposed: such a difference is out of reach."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict; the rest is for INCONCLUSIVE alone.

    Attributes:
        more_processes: of each arm, with as many quads in each, that would probably settle it;
            None where no number does.
        more_quads: in each generation, with as many generations; likewise.
        why: a sentence where there can be no verdict at all.
    """

    verdict: Verdict
    more_processes: int | None = None
    more_quads: int | None = None
    why: str = ""


def judge(ratio: Estimate, margin: float = MARGIN) -> Judgement:
    """The verdict on a ratio of times.

    Args:
        ratio: arm over baseline.
        margin: the largest difference that does not matter, as a share.
    """
    if ratio.low is None or ratio.high is None or ratio.low_90 is None or ratio.high_90 is None:
        return _too_few(ratio.generations)
    if 1 / (1 + margin) < ratio.low_90 and ratio.high_90 < 1 + margin:
        return Judgement("SAME")
    if ratio.high < 1:
        return Judgement("FASTER")
    if ratio.low > 1:
        return Judgement("SLOWER")
    if ratio.generations < FEWEST_GENERATIONS:
        return _too_few(ratio.generations)
    return Judgement("INCONCLUSIVE", more_processes(ratio, margin), more_quads(ratio, margin))


def _too_few(generations: int) -> Judgement:
    process = "one process" if generations == 1 else f"{generations} processes"
    why = (
        f"{process} of each arm: what {'its' if generations == 1 else 'their'} luck adds is not "
        f"known from fewer than {FEWEST_GENERATIONS}"
    )
    return Judgement("INCONCLUSIVE", max(1, FEWEST_GENERATIONS - generations), None, why)


def more_processes(ratio: Estimate, margin: float) -> int | None:
    """Processes of each arm until one of the verdicts, should ratio and spread stay."""
    for generations in range(ratio.generations + 1, MOST_PROCESSES + 1):
        if _settles(ratio, margin, generations, quads_each(ratio)):
            return generations - ratio.generations
    return None


def more_quads(ratio: Estimate, margin: float) -> int | None:
    """Quads in each generation until one of the verdicts, should ratio and spread stay."""
    each = quads_each(ratio)
    if not ratio.within or not _settles(ratio, margin, ratio.generations, MOST_QUADS):
        return None
    enough = (more for more in range(1, MOST_QUADS)
              if _settles(ratio, margin, ratio.generations, each + more))  # fmt: skip
    return next(enough, None)


def quads_each(ratio: Estimate) -> float:
    """Quads of a generation."""
    return ratio.quads / max(1, ratio.generations)


def _settles(ratio: Estimate, margin: float, generations: int, quads: float) -> bool:
    """Whether so many generations of so many quads would give a verdict."""
    assert ratio.freedom is not None
    one = _generation_variance(ratio, quads)
    freedom = ratio.freedom * (generations - 1) / (ratio.generations - 1)
    error = math.sqrt(one / generations)
    effect, width = abs(math.log(ratio.value)), math.log(1 + margin)
    different = effect > stats.t.isf(0.025, freedom) * error
    return bool(different or effect + stats.t.isf(0.05, freedom) * error < width)


def _generation_variance(ratio: Estimate, quads: float) -> float:
    """Variance that one generation of so many quads would have."""
    assert ratio.error is not None
    now = ratio.error**2 * ratio.generations
    if ratio.within is None:
        return now
    noise = ratio.within / quads_each(ratio)
    return max(0.0, now - noise) + ratio.within / quads
