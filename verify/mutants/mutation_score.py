"""What a run could have noticed of a graph: every mutant, judged by the rule as a candidate is.

A mutant is caught when the first tap that it changes is rejected, by at least
`verify.faults.sighting.MARGIN` times what is allowed. Equivalent is one that no input of the run
tells from the graph: at every tap that it reaches, in every case, its values are those of the graph
to the last bit, or differ by rounding alone. How much that is, the two graphs tell themselves: at the
precision that they declare rounding is larger by the ratio of the unit roundoffs, 2^29 for float32.
The rule's allowance takes no part, so that one that is too wide is noticed: whatever is neither
caught nor equivalent makes the run UNDERPOWERED.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from reference.dtypes import DTYPES, unit_roundoff
from verify.faults.sighting import MARGIN, Sighting, margin_of
from verify.graph.errors import GraphError
from verify.judge.acceptance import judge
from verify.judge.metrics import rms, ulp_at
from verify.judge.verdict import Check
from verify.mutants.generate import KINDS, mutants_of
from verify.mutants.sample import Sample
from verify.mutants.trial import Cutter, Trial
from verify.truth.cases import plants_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array
    from verify.graph.form import Graph
    from verify.mutants.edit import Mutant
    from verify.mutants.forced import Forced
    from verify.truth.expectation import Expectation

MODE = "math-mutants"

ROUNDING_FACTOR = 4.0
"""How far a difference may be beyond what rounding comes to by the declared precision: both are
draws. Of mutants that are the same function by mathematics 0.03 to 1.8 was seen."""

Difference = Literal["bits", "rounding", "values"]
"""How a mutant's values differ from the graph's: in no bit, by rounding, or by more."""

State = Literal["caught", "missed", "equivalent", "unjudged"]
STATES: tuple[State, ...] = ("caught", "missed", "equivalent", "unjudged")
"""What a mutant may come to; `unjudged` where its stage is wrong already, or where it is not a
program."""


@dataclass(slots=True)
class Seen:
    """What was seen of one mutant so far.

    Attributes:
        mutant: it.
        best: the sighting with the largest margin; None until some case shows a difference.
        case: in which that was.
        differs: the largest difference that any case has shown.
        judged: in how many cases.
        problem: why it could not be evaluated in some case, or judged.
    """

    mutant: Mutant
    best: Sighting | None = None
    case: str = ""
    differs: Difference = "bits"
    judged: int = 0
    problem: str = ""

    @property
    def state(self) -> State:
        """What it has come to."""
        if self.best is not None:
            return "caught" if self.best.caught else "missed"
        return "equivalent" if self.judged and not self.problem else "unjudged"

    def record(self) -> dict[str, Any]:
        """As records have it (`reports/SCHEMA.md`)."""
        mutant, best = self.mutant, self.best
        margin = None if best is None else best.margin
        return {
            "record": "mutant",
            "mutant": mutant.id,
            "kind": mutant.kind,
            "operation": mutant.operation.kind,
            "place": str(mutant.operation.place) if mutant.operation.place else None,
            "found": mutant.described(),
            "expected": mutant.stage if best is None else best.expected,
            "blamed": None if best is None else best.blamed,
            "margin": margin if margin is None or np.isfinite(margin) else str(margin),
            "state": self.state,
            "differs": self.differs,
            "case": self.case or None,
            "judged": self.judged,
        }


@dataclass(slots=True)
class Mutants:
    """The mutants of a candidate's graph, and what was seen of them.

    Attributes:
        every: whether all of them are judged, or a sample of each kind at each stage.
        seed: draws the sample.
        seen: by id.
        total: how many there are.
    """

    every: bool = False
    seed: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)
    total: int = 0
    _sample: Sample | None = None
    _graph: Graph | None = None

    def look(self, expected: Expectation, forced: Forced) -> None:
        """Judge every mutant that no case has caught yet on one more case.

        Cases of few tokens show little, and those of many take long: they are left out. So are
        other graphs than the first one, such as that for another device.

        Args:
            expected: what the case is compared with, in float64.
            forced: the candidate's forced graph, with the weights of the case.
        """
        if not plants_faults(expected.case) or self._graph not in (None, forced.graph):
            return
        if self._sample is None:
            self._graph = forced.graph
            found = mutants_of(forced, judged_taps(expected, forced))
            self.total = len(found)
            self._sample = Sample(found, every=self.every, seed=self.seed)
            self._take(self._sample.first())
        judge_ = Judge(expected, forced)
        pending = [seen for seen in self.seen.values() if seen.state != "caught"]
        while pending:
            judge_.look(pending)
            pending = self._take(self._sample.more([seen.mutant for seen in _silent(pending)]))

    def _take(self, found: list[Mutant]) -> list[Seen]:
        taken = [Seen(mutant) for mutant in found]
        self.seen |= {seen.mutant.id: seen for seen in taken}
        return taken

    def records(self) -> Iterator[dict[str, Any]]:
        """One record for each mutant that was looked at."""
        for seen in self.seen.values():
            yield seen.record()

    def checks(self) -> Iterator[Check]:
        """One check for each kind of mutant."""
        for kind in KINDS:
            group = [seen for seen in self.seen.values() if seen.mutant.kind == kind]
            if group:
                yield _check(kind, group)

    def report(self) -> dict[str, int]:
        """How many mutants the graph has, how many were looked at, and what they came to."""
        counts = Counter(seen.state for seen in self.seen.values())
        looked = {"total": self.total, "judged": counts["caught"] + counts["missed"]}
        return looked | {state: counts[state] for state in STATES}


def _silent(seen: list[Seen]) -> list[Seen]:
    return [one for one in seen if one.best is None]


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

    def look(self, pending: list[Seen]) -> None:
        """Judge some mutants."""
        cuts = {seen.mutant.id: self.cutter.cut(seen.mutant, seen.mutant.stage) for seen in pending}
        self.trial.keep(cuts.values(), {seen.mutant.stage for seen in pending})
        for seen in pending:
            try:
                self._one(seen)
            except GraphError as error:
                seen.problem = str(error)

    def _one(self, seen: Seen) -> None:
        sighting, differs = self.sight(seen.mutant)
        if differs is None:
            seen.problem = "its stage is wrong already"
            return
        seen.judged += 1
        if _rank(differs) > _rank(seen.differs):
            seen.differs = differs
        if sighting and (seen.best is None or _better(sighting, seen.best)):
            seen.best, seen.case = sighting, self.expected.case.name

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

        How far the declared precision moves the graph's values, the mutant's, and both from each
        other are three draws of it, 2^29 times too large for float32: where a softmax nearly ties,
        one number carries them, and a single draw would say little.

        Args:
            mutant: it.
            tap: where it differs.
            found: its values there, in float64.
        """
        original, declared = self.trial.original(tap), DTYPES[self._declared]
        narrow, moved = self.narrow.mutated(mutant, tap), self.narrow.original(tap)
        if not np.isfinite(narrow).all():
            return False
        with np.errstate(all="ignore"):
            draws = [distance(narrow, moved), distance(narrow, found), distance(moved, original)]
            # Where nothing shows, one element may have missed it by its last place.
            least = ulp_at(rms(original.astype(float)), declared) / math.sqrt(original.size)
            here = distance(found, original)
        shrunk = max(*draws, least) * unit_roundoff(np.float64) / unit_roundoff(declared)
        return here <= ROUNDING_FACTOR * shrunk

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

    def _judged(self, tap: str, found: Array) -> Any:
        with np.errstate(all="ignore"):
            standard = self.expected.at(tap, alone=True)
            return judge(found, standard.truth, standard.envelope, self.expected.dtype)


def distance(found: Array, original: Array) -> float:
    """Root mean square difference of two arrays; infinite for arrays of two shapes."""
    if found.shape != original.shape:
        return float("inf")
    return rms(found.astype(np.float64) - original.astype(np.float64))


def _rank(differs: Difference) -> int:
    return ("bits", "rounding", "values").index(differs)


def _better(one: Sighting, other: Sighting) -> bool:
    return (one.caught, one.margin) > (other.caught, other.margin)


def _check(kind: str, group: list[Seen]) -> Check:
    counts = Counter(seen.state for seen in group)
    missed = [seen for seen in group if seen.state == "missed"]
    judged = counts["caught"] + counts["missed"]
    weakest = min(
        (seen for seen in group if seen.best), key=lambda seen: _margin(seen), default=None
    )
    return Check(
        case=kind,
        mode=MODE,
        tap=weakest.mutant.stage if weakest and missed else "",
        verdict="UNDERPOWERED" if missed else "PASS" if judged else "SKIP",
        message=_message(missed, judged),
        details={
            "kind": KINDS[kind],
            "caught": counts["caught"],
            "judged": judged,
            "equivalent": counts["equivalent"],
            "to_the_bit": sum(s.state == "equivalent" and s.differs == "bits" for s in group),
            "unjudged": counts["unjudged"],
            "margin": None if weakest is None else _finite(_margin(weakest)),
            "weakest": None if weakest is None else weakest.mutant.id,
            "missed": [seen.mutant.id for seen in missed],
        },
    )


def _margin(seen: Seen) -> float:
    return seen.best.margin if seen.best else 0.0


def _finite(margin: float) -> float | str:
    return margin if np.isfinite(margin) else str(margin)


def _message(missed: list[Seen], judged: int) -> str:
    if missed:
        first = missed[0]
        return f"{len(missed)} not caught, such as {first.mutant.id}: {_why_not(first)}"
    return "" if judged else "no input of this run shows one"


def _why_not(seen: Seen) -> str:
    best = seen.best
    assert best is not None
    if best.blamed is None:
        why = "no place is rejected"
    elif best.blamed != best.expected:
        why = f"blamed on {best.blamed}"
    else:
        why = f"rejected by a margin of {best.margin:.2f} only, {MARGIN:g} is asked"
    return f"{seen.mutant.described()}; {why}"
