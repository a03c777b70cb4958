"""One run of the verification, from a checkpoint to an outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from max.dtype import DType

from impl.runtime import NO_ACCELERATOR, build, device_names, open_device
from impl.weights import from_hugging_face
from reference.dtypes import held_in
from reference.regimes import with_regime
from reference.taps import LOGITS
from verify.candidate.graphs import Candidate
from verify.checks.engine import (
    Form,
    cache_fault_checks,
    engine_checks,
    quality_check,
    worth_reading,
)
from verify.checks.invariances import metamorphic_checks
from verify.checks.logits import perplexity_check
from verify.checks.precision import precision_check
from verify.checks.stages import check_case
from verify.checks.text import greedy_check, held_out_ids, text_case
from verify.checks.whole import (
    coverage_checks,
    distance_to_nine,
    oracle_check,
    parameters_check,
)
from verify.faults.controls import must_fail
from verify.faults.diagnosis import diagnose
from verify.faults.in_max import MaxPower
from verify.judge.acceptance import MAX_FACTOR
from verify.judge.verdict import Check
from verify.outcome import Outcome
from verify.pairing.prepare import prepare
from verify.pairing.translated import PairedCandidate
from verify.truth.cases import (
    PROBE,
    PROBE_SIZE,
    Case,
    default_shapes,
    plants_faults,
    probe_case,
    random_cases,
    regime_shapes,
)
from verify.truth.references import References

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.candidate.graphs import BoundCandidate
    from verify.pairing.prepare import Subject
    from verify.truth.expectation import Expectation


DEFAULT_REGIMES = ("given", "perturbed", "stress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to verify.

    Attributes:
        checkpoint: configuration and weights, as given.
        devices: names of the devices to run on.
        regimes: states of the weights (`reference.regimes`).
        sizes: (batch, length) of the random cases of every regime; None for the default ones.
        seed: draws token ids, regimes and envelopes.
        dtype: the precision that the candidate declares.
        subject: the candidate; None for the model of `impl`.
        max_faults: also plant faults in real MAX graphs (`verify.faults.in_max`).
        engines: KV-cached engines to compare with the model's own oracle.
    """

    checkpoint: Checkpoint
    devices: Sequence[str] = ("cpu",)
    regimes: Sequence[str] = DEFAULT_REGIMES
    sizes: Sequence[tuple[int, int]] | None = None
    seed: int = 0
    dtype: str = "float32"
    subject: Subject | None = None
    max_faults: bool = False
    engines: Sequence[Form] = ()

    @property
    def case_count(self) -> int:
        """How many cases will run, text included, to tell how far a run has come."""
        texts = self.checkpoint.folder is not None and "given" in self.regimes
        sizes = sum(len(self.sizes_of(regime)) + 1 for regime in self.regimes)
        return len(self.devices) * (sizes + texts)

    def sizes_of(self, regime: str) -> Sequence[tuple[int, int]]:
        """(batch, length) of the random cases of one regime."""
        if self.sizes is not None:
            return self.sizes
        config = self.checkpoint.config
        return default_shapes(config) if regime == self.regimes[0] else regime_shapes(config)

    def cases(self, regime: str, device: str) -> list[Case]:
        """The random cases of one regime on one device."""
        return random_cases(
            self.checkpoint.config, regime, self.sizes_of(regime), seed=self.seed, device=device
        )


def verify(
    plan: Plan,
    emit: Callable[[Check], None],
    status: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run a plan.

    Args:
        plan: what to verify.
        emit: called with every check as soon as it is made, so that nothing is lost on the way.
        status: called with a few words whenever a new part begins.

    Raises:
        impl.weights.WeightsError, impl.runtime.DeviceError: before anything is compared.
    """
    outcome = Outcome()

    def add(check: Check) -> None:
        outcome.checks.append(check)
        emit(check)

    if len(device_names()) == 1 and list(plan.devices) == ["cpu"]:
        add(_skip("gpu", NO_ACCELERATOR))
    for device in plan.devices:
        status(f"{device}: compiling the model (about a minute, seconds from then on)")
        candidate = _candidate(plan, device)
        for regime in plan.regimes:
            for check in _check_regime(plan, candidate, regime, device, outcome, status):
                add(replace(check, regime=regime, device=check.device or device))
        own = [check for check in outcome.checks if check.device == device]
        add(replace(precision_check(own, plan.dtype, device), device=device))
    of_the_run = chain(outcome.lowered.checks(), outcome.power.checks())
    for check in [*of_the_run, *outcome.cache_faults.values()]:
        add(check)
    return outcome


def _skip(case: str, reason: str) -> Check:
    return Check(case=case, mode="device", tap="", verdict="SKIP", message=reason)


def _candidate(plan: Plan, device: str) -> Candidate | PairedCandidate:
    if plan.subject:
        return prepare(plan.subject, plan.checkpoint, device, DType[plan.dtype])
    opened = open_device(device)
    return Candidate(build(plan.checkpoint.config, opened, DType[plan.dtype]), opened)


def _weights(
    candidate: Candidate | PairedCandidate, checkpoint: Checkpoint, dtype: str
) -> dict[str, Array]:
    """The checkpoint's weights as the candidate holds them."""
    if isinstance(candidate, PairedCandidate):
        return held_in(dtype, candidate.weights_of(checkpoint.weights))
    return held_in(dtype, from_hugging_face(checkpoint.config, checkpoint.weights))


def _check_regime(
    plan: Plan,
    candidate: Candidate | PairedCandidate,
    regime: str,
    device: str,
    outcome: Outcome,
    status: Callable[[str], None],
) -> Iterator[Check]:
    """Every check on one state of the weights."""
    checkpoint = with_regime(plan.checkpoint, regime, seed=plan.seed)
    references = References(checkpoint, plan.dtype)
    weights = _weights(candidate, references.checkpoint, plan.dtype)
    bound = candidate.bind(weights)
    prefix = "" if device == "cpu" else f"{device}-"
    yield parameters_check(f"{prefix}{regime}", bound, weights)
    cases = plan.cases(regime, device)
    status(f"{device}, {regime}: two float64 models against each other")
    yield oracle_check(f"{prefix}{regime}", references, min(cases, key=distance_to_nine).ids)
    if not outcome.expected:
        _look_for_places(outcome, candidate, references, cases[0].ids)
        yield from coverage_checks(candidate, outcome.expected, outcome.unknown)
    outcome.largest_envelope = 0.0
    read_by_engines = worth_reading(checkpoint.config, cases) if plan.engines else ()
    cases.append(probe_case(checkpoint.config, regime, seed=plan.seed, device=device))
    in_max = None
    if plan.max_faults and (regime, device) == (plan.regimes[0], plan.devices[0]):
        status("compiling faulty MAX graphs (minutes, seconds from then on)")
        in_max = MaxPower(references)
    for case in cases:
        status(case.name)
        for check in _check_case(plan, case, bound, references, outcome, read_by_engines, in_max):
            yield _of_case(check, case)
    if in_max:
        yield from in_max.checks(regime, plan.seed)
    status(f"{device}, {regime}: invariances")
    yield from metamorphic_checks(
        bound,
        checkpoint.config,
        regime=regime,
        device=device,
        seed=plan.seed,
        # Two correct results may each stray by what the rule allows, to either side.
        allowed=2 * MAX_FACTOR * outcome.largest_envelope,
        dtype=plan.dtype,
    )
    text = held_out_ids(checkpoint) if regime == "given" else None
    if regime == plan.regimes[0]:
        outcome.artefacts.look_inside(bound, references, text, cases[0].ids, device)
    if text is not None:
        yield from _check_text(plan, bound, references, text, device, outcome, status)
    elif regime == "given":
        yield _skip(f"{prefix}text", "the checkpoint has no tokenizer")


def _look_for_places(
    outcome: Outcome, candidate: Candidate | PairedCandidate, references: References, ids: Array
) -> None:
    """Which places there are on both sides, and in which order they are computed."""
    outcome.order = list(references.oracle.trace(ids))
    outcome.expected = references.expected_taps(ids)
    if isinstance(candidate, PairedCandidate):
        outcome.pairing = candidate.pairing
        outcome.expected |= candidate.excused(outcome.expected)
    outcome.unknown = [tap for tap in candidate.forced_taps if tap not in outcome.expected]


def _of_case(check: Check, case: Case) -> Check:
    """The check, with the size of its input."""
    batch, length = case.ids.shape
    return replace(check, batch=batch, length=length)


def _check_case(
    plan: Plan,
    case: Case,
    bound: BoundCandidate,
    references: References,
    outcome: Outcome,
    read_by_engines: Collection[str],
    in_max: MaxPower | None,
) -> Iterator[Check]:
    """The checks of one case, a diagnosis of its first failure, and what the case could notice."""
    expected = references.expectation(case, bound.program.given_taps)
    checks = list(check_case(case, bound, expected, plan.dtype))
    failed = [c for c in checks if c.mode == "isolated" and c.verdict == "FAIL"]
    if failed:
        place = checks.index(failed[0])
        found = bound.forced_trace(case.ids, expected.given)[failed[0].tap]
        sentence = diagnose(
            failed[0].tap, found, case, references.oracle, expected, plan.dtype,
            bound.program.forced_taps,
        )  # fmt: skip
        checks[place] = replace(failed[0], details={"diagnosis": sentence})
    yield from checks
    whole = case.ids.shape == PROBE_SIZE and case.label != PROBE
    outcome.artefacts.look(case, bound, expected, checks, tokens=whole)
    outcome.power.alarms += expected.alarms
    if plants_faults(case):
        outcome.power.look(case, references.oracle, expected, plan.dtype, bound.program.forced_taps)
        yield from outcome.power.matched_checks(
            case, bound, references.oracle, expected, plan.dtype
        )
        outcome.lowered.look(expected, plan.dtype)
        if in_max:
            in_max.look(expected)
    if case.label == PROBE:
        return
    if case.ids.shape == PROBE_SIZE:
        yield from must_fail(case, expected, plan.dtype)
    if case.name in read_by_engines:
        yield from _check_engines(plan, case, expected, references, outcome)
    outcome.largest_envelope = max(outcome.largest_envelope, expected.free_envelope[LOGITS].max)


def _check_engines(
    plan: Plan, case: Case, expected: Expectation, references: References, outcome: Outcome
) -> Iterator[Check]:
    """Every engine on one case, and what its checks could notice of a wrong cache."""
    for form in plan.engines:
        held = expected
        if form.dtype != "float32":
            taps = list(expected.given)
            held = References(form.held(references.checkpoint)).expectation(case, taps)
            yield quality_check(form, case, expected, held)
        yield from engine_checks(form, references.checkpoint, case, held)
    if case.ids.shape == PROBE_SIZE:
        for check in cache_fault_checks(case, references.oracle, expected):
            if check.mode == "oracle":
                yield check
            elif _margin(check) > _margin(outcome.cache_faults.get(check.case)):
                outcome.cache_faults[check.case] = check


def _margin(check: Check | None) -> float:
    return float((check.details or {})["margin"]) if check else -1.0


def _check_text(
    plan: Plan,
    bound: BoundCandidate,
    references: References,
    text: Array,
    device: str,
    outcome: Outcome,
    status: Callable[[str], None],
) -> Iterator[Check]:
    case = text_case(references.checkpoint, text, seed=plan.seed, device=device)
    status(case.name)
    expected = references.expectation(case, bound.program.given_taps)
    checks = list(check_case(case, bound, expected, plan.dtype))
    outcome.artefacts.look(case, bound, expected, checks, tokens=True)
    checks.append(perplexity_check(case, bound.logits(case.ids), expected, plan.dtype))
    yield from (_of_case(check, case) for check in checks)
    yield greedy_check(bound, references, text, device, plan.dtype)
