"""How often something was said, with an interval that knows which outcomes belong together.

Outcomes that were made with the same processes are one draw more than they are many. So they are
grouped, and a group's rate may scatter more than chance alone lets it:

    design effect = variance of the groups' rates over rate (1 - rate) / size, at least 1
    interval      = Clopper and Pearson's of so many fewer outcomes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of outcomes.

    Attributes:
        low: of the 95% interval.
        high: of the 95% interval.
        effect: the design effect.
    """

    found: int
    count: int
    low: float
    high: float
    effect: float = 1.0

    @property
    def value(self) -> float:
        """The share."""
        return self.found / self.count

    def __str__(self) -> str:
        """`5.0% [2.4%, 9.0%]`."""
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def rate(outcomes: Sequence[bool], groups: Sequence[int]) -> Rate:
    """The share of outcomes that are true.

    Args:
        outcomes: at least one.
        groups: of each outcome the number of its group.
    """
    count, found = len(outcomes), sum(outcomes)
    effect = design_effect(outcomes, groups)
    return Rate(found, count, *_interval(found / effect, count / effect), effect)


def design_effect(outcomes: Sequence[bool], groups: Sequence[int]) -> float:
    """How much more groups differ than by chance; 1 where that is not known."""
    members = {group: [o for o, g in zip(outcomes, groups, strict=True) if g == group]
               for group in dict.fromkeys(groups)}  # fmt: skip
    share = float(np.mean(outcomes))
    chance = sum(share * (1 - share) / len(found) for found in members.values()) / len(members)
    if len(members) < 2 or not chance:
        return 1.0
    scatter = float(np.var([np.mean(found) for found in members.values()], ddof=1))
    return max(1.0, scatter / chance)


def _interval(found: float, count: float) -> tuple[float, float]:
    """Clopper and Pearson's interval, of counts that need not be whole."""
    low = stats.beta.ppf(0.025, found, count - found + 1) if found > 0 else 0.0
    high = stats.beta.ppf(0.975, found + 1, count - found) if found < count else 1.0
    return float(low), float(high)
