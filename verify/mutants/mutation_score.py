"""What a run could have noticed of a graph: every mutant, judged by the rule as a candidate is.

A mutant is caught when the first tap that it changes is rejected, by at least
`verify.faults.sighting.MARGIN` times what is allowed. Equivalent is one that no input of the run
tells from the graph: at every tap that it reaches, in every case, its values are those of the graph
to the last bit, or differ by rounding alone (`verify.mutants.judging`). What is neither caught nor
equivalent makes the run UNDERPOWERED.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from verify.faults.sighting import MARGIN, Sighting
from verify.graph.errors import GraphError
from verify.judge.verdict import Check
from verify.mutants.generate import KINDS, mutants_of
from verify.mutants.judging import DIFFERENCES, Difference, Judge, judged_taps
from verify.mutants.sample import EACH, Sample
from verify.truth.cases import LARGE_PARAMETERS, plants_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.graph.form import Graph
    from verify.mutants.change import Mutant
    from verify.mutants.forced import Forced
    from verify.truth.expectation import Expectation

MODE = "math-mutants"

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

    def look(self, judge: Judge) -> None:
        """See what becomes of the mutant on one more case."""
        try:
            sighting, differs = judge.sight(self.mutant)
        except GraphError as error:
            self.problem = str(error)
            return
        if differs is None:
            self.problem = "the stage is wrong already"
            return
        self.judged += 1
        self.differs = max(self.differs, differs, key=DIFFERENCES.index)
        if sighting and (self.best is None or _better(sighting, self.best)):
            self.best, self.case = sighting, judge.expected.case.name

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
            parameters = sum(array.size for array in forced.weights.arrays.values())
            each = 1 if parameters > LARGE_PARAMETERS else EACH
            self._sample = Sample(found, every=self.every, seed=self.seed, each=each)
            self._take(self._sample.first())
        judge = Judge(expected, forced)
        pending = [seen for seen in self.seen.values() if seen.state != "caught"]
        while pending:
            judge.prepare([s.mutant for s in pending if judge.is_right(s.mutant.stage)])
            for seen in pending:
                seen.look(judge)
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
        message=_message(group, missed, judged),
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


def _message(group: list[Seen], missed: list[Seen], judged: int) -> str:
    if missed:
        first = missed[0]
        return f"{len(missed)} not caught, such as {first.mutant.id}: {_why_not(first)}"
    if judged:
        return ""
    problem = next((seen.problem for seen in group if seen.problem), "")
    return f"not judged: {problem}" if problem else "no input of this run shows one"


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
