"""One run of the verification, from a checkpoint to an outcome."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from max.dtype import DType
from threadpoolctl import threadpool_limits

from impl.runtime import NO_ACCELERATOR, build, device_names, open_device
from reference.regimes import with_regime
from reference.taps import LOGITS
from verify.candidate.guard import compiling
from verify.candidate.model_graphs import trace_model
from verify.candidate.observation import Observation
from verify.checks.blame import Meaning, blame_invariance
from verify.checks.engine import (
    EngineSpec,
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
    distance_to_nine,
    oracle_check,
    parameters_check,
)
from verify.faults.controls import must_fail
from verify.faults.in_max import MaxPower
from verify.graph.errors import GraphError
from verify.judge.acceptance import MAX_FACTOR
from verify.judge.verdict import Check, Verdict
from verify.mathematics import MathematicsRun, power_checks, sizes_of
from verify.mutants.mutation_score import Mutants
from verify.outcome import Outcome
from verify.pairing.prepare import prepare
from verify.pairing.translated import PairedCandidate, held_weights, without_spared
from verify.truth.cases import (
    LARGE_PARAMETERS,
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
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.candidate.model_graphs import Candidate, Computing
    from verify.checks.invariances import HasLogits
    from verify.pairing.prepare import NamedCandidate
    from verify.truth.expectation import Expectation
    from verify.truth.float64 import Mathematics


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
        tf32: whether products of float32 may use TF32.
        subject: the candidate; None for the model of `impl`.
        prepared: the candidate by device, where it was prepared before anything was written.
        max_faults: also plant faults in real MAX graphs (`verify.faults.in_max`), and judge every
            mutant of the traced graph.
        engines: KV-cached engines to compare with the model's own oracle.
        quick: stop after the mathematics, before anything is compiled.
        compile_anyway: compile also a model whose mathematics is wrong.
        power: plant faults in the mathematics, to see what the run would have noticed.
        truths: what the mathematics is compared with, by regime, where it is known already.
    """

    checkpoint: Checkpoint
    devices: Sequence[str] = ("cpu",)
    regimes: Sequence[str] = DEFAULT_REGIMES
    sizes: Sequence[tuple[int, int]] | None = None
    seed: int = 0
    dtype: str = "float32"
    tf32: bool = False
    subject: NamedCandidate | None = None
    prepared: Mapping[str, Candidate | PairedCandidate] = field(default_factory=dict)
    max_faults: bool = False
    engines: Sequence[EngineSpec] = ()
    quick: bool = False
    compile_anyway: bool = False
    power: bool = True
    truths: Mapping[str, Mathematics] = field(default_factory=dict)

    @property
    def products(self) -> str:
        """What products may compute in where that is coarser than the precision."""
        return "tf32" if self.tf32 else ""

    @property
    def case_count(self) -> int:
        """How many cases will run, text included, to tell how far a run has come."""
        texts = self.checkpoint.folder is not None and "given" in self.regimes
        sizes = sum(len(self.sizes_of(regime)) + 1 for regime in self.regimes)
        return len(self.devices) * (sizes + texts)

    @property
    def program_count(self) -> int:
        """How many programs will be compiled, to tell how far a run has come."""
        if self.quick:
            return 0
        return len(self.devices) * (1 + len(self.engines)) + self.max_faults

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
    # Many small products wait for each other's threads longer than they compute.
    small = plan.checkpoint.config.parameter_count <= LARGE_PARAMETERS
    with threadpool_limits(1 if small else None, "blas"):
        return _verify(plan, emit, status)


def _verify(plan: Plan, emit: Callable[[Check], None], status: Callable[[str], None]) -> Outcome:
    outcome = Outcome(mutants=Mutants(every=plan.max_faults, seed=plan.seed))

    def add(check: Check) -> None:
        outcome.checks.append(check)
        emit(check)

    if len(device_names()) == 1 and list(plan.devices) == ["cpu"]:
        add(_skip("gpu", NO_ACCELERATOR))
    for device in plan.devices:
        status(f"{device}: tracing the model")
        candidate = _candidate(plan, device)
        with threadpool_limits(1, "blas"):
            for check in _mathematics(plan, candidate, outcome, status):
                add(replace(check, device=device))
            _explain(outcome, status)
        if plan.quick or (outcome.verdict == "FAIL" and not plan.compile_anyway):
            continue
        status(f"{device}: compiling the model")
        outcome.compiled = True
        with compiling(plan.subject.name) if plan.subject else nullcontext():
            candidate.compile()
        for regime in plan.regimes:
            for check in RegimeRun(plan, candidate, regime, device, outcome, status).checks():
                add(replace(check, regime=regime, device=check.device or device))
        _explain(outcome, status)
        own = [check for check in outcome.checks if check.device == device]
        add(replace(precision_check(own, plan.dtype, device), device=device))
    if outcome.compiled:
        of_the_run = chain(outcome.lowered.checks(), outcome.power.checks())
        for check in [*of_the_run, *outcome.cache_faults.values()]:
            add(check)
    return outcome


def _explain(outcome: Outcome, status: Callable[[str], None]) -> None:
    if outcome.failures.failures:
        status("looking for what explains the failures")
    outcome.explain()


def _mathematics(
    plan: Plan,
    candidate: Candidate | PairedCandidate,
    outcome: Outcome,
    status: Callable[[str], None],
) -> Iterator[Check]:
    """Whether the traced graphs are the same mathematics; nothing is compiled for that."""
    try:
        for regime in plan.regimes:
            first = regime == plan.regimes[0]
            sizes = plan.sizes or sizes_of(plan.checkpoint.config, first=first)
            run = MathematicsRun(
                plan.checkpoint, candidate, regime, sizes,
                seed=plan.seed, dtype=plan.dtype, outcome=outcome, status=status,
                power=plan.power, truth=plan.truths.get(regime),
            )  # fmt: skip
            yield from run.checks()
        if plan.power:
            yield from power_checks(outcome)
    except GraphError as error:
        # Without a compile nothing else will judge it.
        verdict: Verdict = "ERROR" if plan.quick else "SKIP"
        why = "not judged" if plan.quick else "judged compiled only"
        message = f"{why}: {error}"
        yield Check(case="graph", mode="math", tap="", verdict=verdict, message=message)


def _skip(case: str, reason: str) -> Check:
    return Check(case=case, mode="device", tap="", verdict="SKIP", message=reason)


def _candidate(plan: Plan, device: str) -> Candidate | PairedCandidate:
    if device in plan.prepared:
        return plan.prepared[device]
    if plan.subject:
        return prepare(plan.subject, plan.checkpoint, device, DType[plan.dtype])
    opened = open_device(device)
    return trace_model(build(plan.checkpoint.config, opened, DType[plan.dtype]), opened)


class RegimeRun:
    """Every check of one candidate in one state of the weights, on one device.

    Args:
        plan: what to verify.
        candidate: compiled for the device.
        regime: the state of the weights (`reference.regimes`).
        device: its name.
        outcome: of the whole run; what lasts longer than a regime is added to it.
        status: called with a few words whenever a new part begins.
    """

    def __init__(
        self,
        plan: Plan,
        candidate: Candidate | PairedCandidate,
        regime: str,
        device: str,
        outcome: Outcome,
        status: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.candidate = candidate
        self.regime = regime
        self.device = device
        self.outcome = outcome
        self.status = status
        checkpoint = with_regime(plan.checkpoint, regime, seed=plan.seed)
        self.references = References(
            without_spared(candidate, checkpoint), plan.dtype, products=plan.products
        )
        self.weights = held_weights(candidate, self.references.checkpoint, plan.dtype)
        self.bound = candidate.bind(self.weights)
        self.meaning = Meaning(candidate, self.weights)
        self.cases = plan.cases(regime, device)
        self.largest_envelope = 0.0
        """Of a logit in a free run, over the cases so far."""

    def checks(self) -> Iterator[Check]:
        """Every check, in the order in which it is made."""
        yield from self._whole_model()
        in_max = self._faults_in_max()
        for case in self._with_probe():
            self.status(case.name)
            for check in self._case(case, in_max):
                yield _of_case(check, case)
        if in_max:
            yield from in_max.checks(self.regime, self.plan.seed)
        yield from self._invariances()
        yield from self._text()

    @property
    def _prefix(self) -> str:
        return "" if self.device == "cpu" else f"{self.device}-"

    @property
    def _is_first(self) -> bool:
        """Whether it is the first regime of the run on its device."""
        return self.regime == self.plan.regimes[0]

    def _whole_model(self) -> Iterator[Check]:
        """Parameters, two float64 models against each other, and which places there are."""
        name = f"{self._prefix}{self.regime}"
        yield parameters_check(name, self.bound, self.weights)
        self.status(f"{self.device}, {self.regime}: two float64 models against each other")
        shortest = min(self.cases, key=distance_to_nine)
        yield oracle_check(name, self.references, shortest)
        if self._is_first and self.device == self.plan.devices[0]:
            # The mathematics has found what is missing; the reference's own modules are known now.
            self.outcome.look_for_places(self.candidate, self.references, self.cases[0].ids)

    def _faults_in_max(self) -> MaxPower | None:
        """Faulty MAX graphs, planted once in a run where they are asked for."""
        if not (self.plan.max_faults and self._is_first and self.device == self.plan.devices[0]):
            return None
        self.status("compiling faulty MAX graphs")
        return MaxPower(self.references)

    def _with_probe(self) -> list[Case]:
        config, seed = self.plan.checkpoint.config, self.plan.seed
        return [*self.cases, probe_case(config, self.regime, seed=seed, device=self.device)]

    def _case(self, case: Case, in_max: MaxPower | None) -> Iterator[Check]:
        """The checks of one case, and what it could notice."""
        expected = self.references.expectation(case, self.bound.program.given_taps)
        observed = Observation(self.bound, expected)
        checks = self._judged(observed, expected)
        yield from checks
        whole = case.ids.shape == PROBE_SIZE and case.label != PROBE
        self.outcome.artefacts.look(observed, expected, checks, tokens=whole)
        yield from self._power(observed, expected, in_max)
        if case.label == PROBE:
            return
        if case.ids.shape == PROBE_SIZE:
            yield from must_fail(expected)
        yield from self._engines(expected)
        self.largest_envelope = max(self.largest_envelope, expected.free_envelope[LOGITS].max)

    def _judged(self, observed: Observation, expected: Expectation) -> list[Check]:
        """The checks of a case: the first that fails with whose that is, all failures kept."""
        checks = self.outcome.blamed(
            list(check_case(observed, expected)),
            lambda check: self.meaning.blame(check, observed, expected),
        )
        failed = [c.tap for c in checks if c.mode == "isolated" and c.verdict == "FAIL"]
        visible = self.bound.program.forced_taps
        graph, declared = self._graph_of(expected), self._declared_graph_of(expected)
        self.outcome.failures.add(failed, observed.forced, expected, visible, graph, declared)
        return checks

    def _graph_of(self, expected: Expectation) -> Callable[[str], Computing]:
        """What gives the graph that computes a place."""

        def computing(tap: str) -> Computing:
            evaluated = self.candidate.evaluated(self.weights)
            return evaluated.computing([tap], expected.case.ids, expected.given)

        return computing

    def _declared_graph_of(self, expected: Expectation) -> Callable[[str], Computing]:
        """The same at the precision that the graph declares."""

        def computing(tap: str) -> Computing:
            evaluated = self.candidate.evaluated(self.weights, "declared")
            return evaluated.computing([tap], expected.case.ids, expected.given)

        return computing

    def _power(
        self, observed: Observation, expected: Expectation, in_max: MaxPower | None
    ) -> Iterator[Check]:
        """What the case could have noticed, and what only filters notice of the candidate."""
        power = self.outcome.power
        power.alarms += expected.alarms
        if not plants_faults(expected.case):
            return
        power.look(expected, self.bound.program.forced_taps)
        yield from power.matched_checks(observed, expected)
        self.outcome.lowered.look(expected)
        if in_max:
            in_max.look(expected)

    @cached_property
    def _read_by_engines(self) -> Collection[str]:
        """Names of the cases that engines read."""
        return worth_reading(self.plan.checkpoint.config, self.cases) if self.plan.engines else ()

    def _engines(self, expected: Expectation) -> Iterator[Check]:
        """Every engine on one case, and what its checks could notice of a wrong cache."""
        case, checkpoint = expected.case, self.references.checkpoint
        if case.name not in self._read_by_engines:
            return
        for form in self.plan.engines:
            held = expected
            if form.dtype != "float32":
                products = form.products or self.plan.products
                rounded = References(form.held(checkpoint), products=products, kept=form.kept)
                held = rounded.expectation(case, list(expected.given))
                yield quality_check(form, checkpoint, expected, held)
            yield from engine_checks(form, checkpoint, held)
        if case.ids.shape == PROBE_SIZE:
            for check in cache_fault_checks(expected, self.references.in_float64(case)):
                if check.mode == "oracle":
                    yield check
                else:
                    self.outcome.keep_cache_fault(check)

    def _invariances(self) -> Iterator[Check]:
        self.status(f"{self.device}, {self.regime}: invariances")
        checks = list(self._invariances_of(self.bound))
        first = self.outcome.earliest(checks)
        if first is not None and self.outcome.verdict != "FAIL":
            blame = blame_invariance(first, self._invariances_of(self.meaning.exact))
            checks[checks.index(first)] = blame.on(first)
        yield from checks

    def _invariances_of(self, candidate: HasLogits) -> Iterator[Check]:
        return metamorphic_checks(
            candidate,
            self.plan.checkpoint.config,
            regime=self.regime,
            device=self.device,
            seed=self.plan.seed,
            # Two correct results may each stray by what the rule allows, to either side.
            allowed=2 * MAX_FACTOR * self.largest_envelope,
            dtype=self.plan.dtype,
        )

    def _text(self) -> Iterator[Check]:
        """Held-out text, and a look inside both models on it."""
        text = held_out_ids(self.references.checkpoint) if self.regime == "given" else None
        if self._is_first:
            self.outcome.artefacts.look_inside(
                self.bound, self.references, text, self.cases[0].ids, self.device
            )
        if text is not None:
            yield from self._text_checks(text)
        elif self.regime == "given":
            yield _skip(f"{self._prefix}text", "the checkpoint has no tokenizer")

    def _text_checks(self, text: Array) -> Iterator[Check]:
        plan, references = self.plan, self.references
        case = text_case(references.checkpoint, text, seed=plan.seed, device=self.device)
        self.status(case.name)
        expected = references.expectation(case, self.bound.program.given_taps)
        observed = Observation(self.bound, expected)
        checks = self._judged(observed, expected)
        self.outcome.artefacts.look(observed, expected, checks, tokens=True)
        checks.append(perplexity_check(observed.logits, expected))
        yield from (_of_case(check, case) for check in checks)
        yield greedy_check(self.bound, references, text, self.device, plan.dtype)


def _of_case(check: Check, case: Case) -> Check:
    """The check, with the size of its input."""
    batch, length = case.ids.shape
    return replace(check, batch=batch, length=length)
