"""One run of the verification, from a checkpoint to an outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType

from impl.runtime import NO_ACCELERATOR, build, device_names, open_device
from impl.weights import from_hugging_face
from reference.dtypes import held_in
from reference.regimes import with_regime
from reference.trace import INPUT
from verify.artefacts import Artefacts
from verify.bits import precision_check
from verify.candidate import Candidate
from verify.cases import (
    PROBE,
    PROBE_SIZE,
    Case,
    default_shapes,
    plants_faults,
    probe_case,
    random_cases,
    regime_shapes,
)
from verify.checks import LOGITS, check_case, perplexity_check
from verify.controls import Lowered, must_fail
from verify.diagnosis import diagnose
from verify.engine import Form, cache_fault_checks, engine_checks, quality_check, worth_reading
from verify.max_faults import MaxPower
from verify.metamorphic import metamorphic_checks
from verify.paired import PairedCandidate
from verify.power import Power
from verify.prepare import prepare
from verify.references import ORACLE_TOLERANCE, References
from verify.rule import MAX_FACTOR, Check, Verdict
from verify.text import greedy_check, held_out_ids, text_case

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.candidate import BoundCandidate
    from verify.pairing import Pairing
    from verify.prepare import Subject
    from verify.references import Expectation

ALONE = ("isolated", "matched")
"""Checks that judge a stage alone."""

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
        max_faults: also plant faults in real MAX graphs (`verify.max_faults`).
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


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first stage, in the order of execution, that is wrong."""

    case: str
    tap: str
    message: str
    diagnosis: str | None = None


@dataclass(slots=True)
class Outcome:
    """What a run found; it grows while the run goes on.

    Attributes:
        checks: every check, in the order in which it was made.
        order: taps in the order of execution.
        expected: every tap of the reference, with the reason where it is excused.
        unknown: taps of the candidate that the reference has not.
        power: what the run could have noticed.
        largest_envelope: of a logit in a free run, over the cases of the regime at hand.
        artefacts: arrays for the report.
        pairing: a candidate's counterparts; None for the model of `impl`.
        cache_faults: for each fault of a cache, the check with the largest margin so far.
        lowered: where results of a lower precision were told.
    """

    checks: list[Check] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    power: Power = field(default_factory=Power)
    largest_envelope: float = 0.0
    artefacts: Artefacts = field(default_factory=Artefacts)
    pairing: Pairing | None = None
    cache_faults: dict[str, Check] = field(default_factory=dict)
    lowered: Lowered = field(default_factory=Lowered)

    @property
    def verdict(self) -> Verdict:
        """FAIL before ERROR before UNDERPOWERED before PASS; ERROR if nothing was judged."""
        found = {check.verdict for check in self.checks}
        for verdict in ("FAIL", "ERROR", "UNDERPOWERED"):
            if verdict in found:
                return verdict
        return "PASS" if "PASS" in found else "ERROR"

    @property
    def first_divergence(self) -> Divergence | None:
        """The earliest stage that fails in isolation; if none does, the earliest failure."""
        failed = [check for check in self.checks if check.verdict == "FAIL"]
        if not failed:
            return None
        place = {tap: index for index, tap in enumerate(self.order)}
        first = min(
            failed,
            key=lambda check: (
                check.mode not in ALONE,
                place.get(check.tap, len(place)),
                "diagnosis" not in (check.details or {}),
            ),
        )
        diagnosis = (first.details or {}).get("diagnosis")
        return Divergence(first.case, first.tap, f"{_place(first)}: {first.message}", diagnosis)

    @property
    def observer_effect(self) -> float | None:
        """Largest difference that tapping made to a logit."""
        return max((c.max_abs or 0.0 for c in self.checks if c.mode == "observer"), default=None)

    def coverage(self) -> dict[str, Any]:
        """How many of the reference's taps were compared, and why the others were not."""
        compared = {check.tap for check in self.checks if check.mode == "isolated"}
        excused = [{"tap": tap, "reason": why} for tap, why in self.expected.items() if why]
        return {"expected": len(self.expected), "compared": len(compared), "excused": excused}


def _place(check: Check) -> str:
    """Where a check lies, in words."""
    name = check.tap.removeprefix("transformer.").removesuffix(INPUT)
    what = f"what {name} is given" if check.tap.endswith(INPUT) else name
    return f"{what} ({check.mode}, {check.case})"


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
    yield _parameters_check(f"{prefix}{regime}", bound, weights)
    cases = plan.cases(regime, device)
    status(f"{device}, {regime}: two float64 models against each other")
    yield _oracle_check(f"{prefix}{regime}", references, min(cases, key=_distance_to_nine).ids)
    if not outcome.expected:
        yield from _coverage_checks(outcome, candidate, references, cases[0].ids)
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


def _distance_to_nine(case: Case) -> int:
    """Nine tokens are enough to compare the two float64 models, and cost little."""
    return abs(case.ids.size - 9)


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


def _parameters_check(case: str, bound: BoundCandidate, weights: dict[str, Array]) -> Check:
    """Every parameter, read back from the compiled program, is the one that was loaded."""
    held = bound.parameters()
    names = sorted(held.keys() ^ weights.keys())
    changed = [
        name
        for name in held.keys() & weights.keys()
        if not np.array_equal(held[name], weights[name])
    ]
    wrong = names + sorted(changed)
    return Check(
        case=case,
        mode="parameters",
        tap="",
        verdict="FAIL" if wrong else "PASS",
        message=f"not as loaded: {', '.join(wrong[:3])}" if wrong else "",
        details={"parameters": len(held), "wrong": len(wrong)},
    )


def _oracle_check(case: str, references: References, ids: Array) -> Check:
    """The NumPy oracle and Hugging Face in float64 are one model; otherwise nobody can judge."""
    tap, distance = references.oracle_disagreement(ids)
    agreed = distance <= ORACLE_TOLERANCE
    return Check(
        case=case,
        mode="oracle",
        tap=tap,
        verdict="PASS" if agreed else "ERROR",
        dtype="float64",
        relative=distance,
        message="" if agreed else f"the two float64 models differ by {distance:.1e} at {tap}",
    )


def _coverage_checks(
    outcome: Outcome, candidate: Candidate | PairedCandidate, references: References, ids: Array
) -> Iterator[Check]:
    """Every tap of one side has its counterpart, or is excused by name."""
    outcome.expected = references.expected_taps(ids)
    if isinstance(candidate, PairedCandidate):
        outcome.pairing = candidate.pairing
        outcome.expected |= candidate.excused(outcome.expected)
        yield from (_unheld_failure(name) for name in candidate.pairing.unheld)
    outcome.order = list(references.oracle.trace(ids))
    missing = [
        t for t, why in outcome.expected.items() if not why and t not in candidate.forced_taps
    ]
    outcome.unknown = [tap for tap in candidate.forced_taps if tap not in outcome.expected]
    for tap in missing:
        yield _coverage_failure(tap, "the candidate has no such place")
    for tap in outcome.unknown:
        yield _coverage_failure(tap, "the reference has no such place")


def _unheld_failure(name: str) -> Check:
    """A parameter of the reference that the candidate has not."""
    message = f"the candidate holds no parameter for {name}"
    return Check(case="coverage", mode="coverage", tap=name, verdict="FAIL", message=message)


def _coverage_failure(tap: str, message: str) -> Check:
    return Check(case="coverage", mode="coverage", tap=tap, verdict="FAIL", message=message)


def report(outcome: Outcome, environment: dict[str, Any], schema_version: int) -> dict[str, Any]:
    """The outcome as `--json` writes it."""
    divergence = outcome.first_divergence
    return {
        "schema_version": schema_version,
        "verdict": outcome.verdict,
        "first_divergence": asdict(divergence) if divergence else None,
        "coverage": outcome.coverage(),
        "observer_effect": {"max_abs": outcome.observer_effect},
        "power": outcome.power.report(),
        "checks": [check.record() for check in outcome.checks],
        "environment": environment,
    }
