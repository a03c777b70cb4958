"""One mutant on one case: what the rule makes of it, and whether it differs by more than rounding.

How large rounding is, the two graphs tell themselves, at the precision that they declare
(`verify.judge.rounding`).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from verify.faults.sighting import Sighting, margin_of
from verify.judge.acceptance import judge
from verify.judge.rounding import within_rounding
from verify.mutants.attempt import Cutter, Trial

if TYPE_CHECKING:
    from collections.abc import Collection

    from reference.trace import Array
    from verify.judge.acceptance import Judgement
    from verify.mutants.change import Mutant
    from verify.mutants.forced import Forced
    from verify.truth.expectation import Expectation

Difference = Literal["bits", "rounding", "values"]
DIFFERENCES: tuple[Difference, ...] = ("bits", "rounding", "values")
"""How a mutant's values differ from the graph's: in no bit, by rounding, or by more."""


def judged_taps(expected: Expectation, forced: Forced) -> dict[str, tuple[int, ...]]:
    """The taps that are judged, in the order in which the reference computes them."""
    return {tap: forced.taps[tap] for tap in expected.isolated if tap in forced.taps}


class Judge:
    """Judges mutants on one case.

    Args:
        expected: what the case is compared with.
        forced: the candidate's forced graph.
    """

    def __init__(self, expected: Expectation, forced: Forced) -> None:
        self.expected = expected
        self._forced = forced
        self._declared = forced.declared
        self.cutter = Cutter(forced)
        self.trial = Trial(forced, self.cutter, expected.case.ids, expected.given)
        self._right: dict[str, bool] = {}

    def prepare(self, mutants: Collection[Mutant]) -> None:
        """Evaluate the graph as it is once, as far as these mutants need it."""
        cuts = [self.cutter.cut(mutant, mutant.stage) for mutant in mutants]
        self.trial.keep(cuts, {mutant.stage for mutant in mutants})

    def sight(self, mutant: Mutant) -> tuple[Sighting | None, Difference | None]:
        """What the rule makes of a mutant, and how far it differs; None where it cannot be judged.

        Taps are looked at in the order of execution, until one shows a difference.
        """
        largest: Difference = "bits"
        for place, tap in enumerate(mutant.reached):
            if not self.is_right(tap):
                return None, None
            found = self.trial.mutated(mutant, tap)
            if np.array_equal(found, self.trial.original(tap)):
                continue
            sighting = self._sighting(mutant, tap, found, mutant.reached[place + 1 :])
            if sighting.caught or not self.is_rounding(mutant, tap, found):
                return sighting, "values"
            largest = "rounding"
        return None, largest

    def _sighting(self, mutant: Mutant, tap: str, found: Array, after: tuple[str, ...]) -> Sighting:
        judgement = self._judged(tap, found)
        blamed = tap if judgement.verdict == "FAIL" else None
        if blamed is None:
            blamed = next((one for one in after if self._rejects(mutant, one)), None)
        return Sighting(mutant.id, tap, blamed, margin_of(judgement), applicable=True)

    def _rejects(self, mutant: Mutant, tap: str) -> bool:
        return self._judged(tap, self.trial.mutated(mutant, tap)).verdict == "FAIL"

    def is_rounding(self, mutant: Mutant, tap: str, found: Array) -> bool:
        """Whether a difference at a tap is as small as rounding is, there and on this input.

        Args:
            mutant: it.
            tap: where it differs.
            found: its values there, in float64.
        """
        original = self.trial.original(tap)
        narrow, moved = self.narrow.mutated(mutant, tap), self.narrow.original(tap)
        return within_rounding(found, original, narrow, moved, self._declared)

    @cached_property
    def narrow(self) -> Trial:
        """The same case at the precision that the graph declares."""
        case, given = self.expected.case, self.expected.given
        return Trial(self._forced, self.cutter, case.ids, given, "declared")

    def is_right(self, tap: str) -> bool:
        """Whether the graph as it is passes at a tap."""
        if tap not in self._right:
            self.trial.keep([], [tap])
            self._right[tap] = self._judged(tap, self.trial.original(tap)).verdict == "PASS"
        return self._right[tap]

    def passes(self, mutant: Mutant, tap: str) -> bool:
        """Whether a mutant passes at a tap.

        Raises:
            GraphError: where it cannot be evaluated.
        """
        return self._judged(tap, self.trial.mutated(mutant, tap)).verdict == "PASS"

    def _judged(self, tap: str, found: Array) -> Judgement:
        with np.errstate(all="ignore"):
            standard = self.expected.at(tap, alone=True)
            return judge(found, standard.truth, standard.envelope, self.expected.dtype)
