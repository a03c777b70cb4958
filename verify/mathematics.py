"""Is it the same mathematics? A candidate's traced graphs in float64 against the oracle.

Nothing is compiled: MAX traces the model, and NumPy evaluates the graphs that it traced
(`verify.graph`). Float64 leaves no room for the rounding of the declared precision, so that every
known fault, a wrong epsilon or constant included, stands ten orders of magnitude above what is
allowed (`verify.truth.float64`). It takes seconds, and answers before the compiled program does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference.dtypes import rounded
from reference.regimes import with_regime
from reference.taps import LOGITS
from verify.candidate.allowance import with_rounded_constants
from verify.candidate.observation import Observation
from verify.checks.declared import narrowed, range_check
from verify.checks.stages import check_case
from verify.checks.whole import coverage_checks, reach_checks, spared_check
from verify.faults.controls import must_fail
from verify.locate.listing import overflowing
from verify.mutants.forced import forced
from verify.pairing.translated import held_weights, without_spared
from verify.truth.cases import (
    LARGE_PARAMETERS,
    PROBE,
    PROBE_SIZE,
    WIDE_SIZE,
    Case,
    plants_faults,
    probe_case,
    random_cases,
)
from verify.truth.float64 import Mathematics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impl.config import GPT2Config
    from reference.checkpoint import Checkpoint
    from verify.candidate.model_graphs import Candidate
    from verify.judge.verdict import Check
    from verify.outcome import Outcome
    from verify.pairing.translated import PairedCandidate
    from verify.truth.expectation import Expectation

MODES = {
    "isolated": "math",
    "free": "math-free",
    "plain": "math-free",
    "control": "math-control",
    "power": "math-power",
    "range": "math-range",
}
"""What a check is called where it is of the graph in float64, not of the compiled program."""


def sizes_of(config: GPT2Config, *, first: bool) -> list[tuple[int, int]]:
    """(batch, length) of the cases of a regime: those between which every fault shows.

    Args:
        config: the model's sizes.
        first: whether it is the first regime of the run; others need one case for their weights.
    """
    length = config.n_positions
    probe = (PROBE_SIZE[0], min(PROBE_SIZE[1], length))
    if not first:
        return [probe]
    sizes = [(1, 1), probe, (WIDE_SIZE[0], min(WIDE_SIZE[1], length))]
    return sizes if config.parameter_count > LARGE_PARAMETERS else [*sizes, (1, length)]


class MathematicsRun:
    """Every check of a candidate's graphs in one state of the weights.

    Args:
        checkpoint: configuration and weights, as given.
        candidate: traced, not necessarily compiled.
        regime: the state of the weights (`reference.regimes`).
        sizes: (batch, length) of the cases.
        seed: draws token ids and regimes.
        dtype: the precision that the candidate declares: weights are rounded to it first.
        outcome: of the whole run.
        status: called with a few words whenever a new part begins.
        power: whether faults are planted, to see what the run would have noticed.
        truth: of this state of the weights, where it is known already.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        candidate: Candidate | PairedCandidate,
        regime: str,
        sizes: Sequence[tuple[int, int]],
        *,
        seed: int,
        dtype: str,
        outcome: Outcome,
        status: Callable[[str], None],
        power: bool = True,
        truth: Mathematics | None = None,
    ) -> None:
        self.candidate = candidate
        self.regime = regime
        self.outcome = outcome
        self.status = status
        config = checkpoint.config
        self._whole = rounded(with_regime(checkpoint, regime, seed=seed), dtype)
        held = without_spared(candidate, self._whole)
        self._spared = held is not self._whole
        self.truth = truth if truth and not self._spared else Mathematics(held)
        weights = held_weights(candidate, self.truth.checkpoint, dtype)
        self.bound = candidate.evaluated(weights)
        self._declared = candidate.evaluated(weights, "declared")
        self._dtype = dtype
        self.cases = cases_of(config, regime, sizes, seed)
        self._plants = power

    def checks(self) -> Iterator[Check]:
        """Every check, in the order in which it is made."""
        if not self.outcome.order:
            self.outcome.look_for_places(self.candidate, self.truth, self.cases[0].ids)
            yield from coverage_checks(self.candidate, self.outcome.expected, self.outcome.unknown)
            if self._whole.config.parameter_count <= LARGE_PARAMETERS:
                yield from reach_checks(self.cases, self._whole.config.n_positions)
            if self._spared and self.outcome.pairing:
                yield self._without(self.outcome.pairing.spared)
        for case in self.cases:
            self.status(f"{case.name}, mathematics")
            for check in self._case(case):
                yield of_graph(_of_case(check, case))

    def _without(self, spared: Sequence[str]) -> Check:
        """Whether the reference is the same without what the candidate leaves out."""
        config, given = self._whole.config, self.candidate.given_taps
        case = max((c for c in self.cases if runs_free(c, config)), key=lambda c: c.ids.size)
        expected = Mathematics(self._whole).expectation(case, given)
        return spared_check(spared, self.truth.oracle.trace(case.ids)[LOGITS], expected)

    def _case(self, case: Case) -> Iterator[Check]:
        given = self.candidate.given_taps
        expected = self.truth.expectation(
            case, given, free=runs_free(case, self.truth.checkpoint.config)
        )
        observed = Observation(self.bound, expected)
        expected = with_rounded_constants(expected, self.bound, observed)
        checks = list(check_case(observed, expected))
        yield from checks
        self.outcome.artefacts.look(observed, expected, checks)
        failed = [c.tap for c in checks if c.mode == "isolated" and c.verdict == "FAIL"]
        self.outcome.failures.add(
            failed, observed.forced, expected, self.candidate.forced_taps,
            lambda tap: self.bound.computing([tap], case.ids, expected.given),
        )  # fmt: skip
        yield self._range(expected, observed)
        yield from self._power(expected)

    def _range(self, expected: Expectation, observed: Observation) -> Check:
        """Whether every stage is finite in the declared precision too."""
        check = range_check(expected, observed, self._declared, self._dtype)
        if check.verdict == "FAIL" and not self.outcome.failures.overflow:
            taps, ids, narrow = [check.tap], expected.case.ids, narrowed(expected, self._dtype)
            self.outcome.failures.overflow = lambda: overflowing(
                self.bound.computing(taps, ids, expected.given),
                self._declared.computing(taps, ids, narrow),
                expected, check.tap, self._dtype,
            )  # fmt: skip
        return check

    def _power(self, expected: Expectation) -> Iterator[Check]:
        """What the case could have noticed."""
        if not self._plants:
            return
        if plants_faults(expected.case):
            self.outcome.mathematics_power.look(expected, self.candidate.forced_taps)
            self.outcome.mutants.look(expected, forced(self.candidate, self.bound))
        if expected.case.ids.shape == PROBE_SIZE and expected.case.label != PROBE:
            yield from must_fail(expected)


def cases_of(
    config: GPT2Config, regime: str, sizes: Sequence[tuple[int, int]], seed: int
) -> list[Case]:
    """The cases of a regime, its probe last."""
    cases = random_cases(config, regime, sizes, seed=seed, device="cpu")
    return [*cases, probe_case(config, regime, seed=seed, device="cpu")]


def runs_free(case: Case, config: GPT2Config) -> bool:
    """Whether a case is run free too.

    A long one is there for its length, in isolation; a large model runs free once for each state of
    its weights.
    """
    if config.parameter_count > LARGE_PARAMETERS:
        return case.ids.shape == (PROBE_SIZE[0], min(PROBE_SIZE[1], config.n_positions))
    return case.ids.size <= PROBE_SIZE[0] * PROBE_SIZE[1]


def _of_case(check: Check, case: Case) -> Check:
    """The check, with the size of its input."""
    batch, length = case.ids.shape
    return replace(check, batch=batch, length=length, regime=case.regime)


def of_graph(check: Check) -> Check:
    """The check, called a check of the mathematics."""
    return replace(check, mode=MODES.get(check.mode, check.mode))


def power_checks(outcome: Outcome) -> Iterator[Check]:
    """One check for each fault that was planted, and for each kind of mutant of the graph."""
    for check in outcome.mathematics_power.checks():
        yield of_graph(check)
    yield from outcome.mutants.checks()
