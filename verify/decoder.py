"""A candidate compared with any decoder of transformers (`--reference hf:FOLDER`).

The method is that of GPT-2, with transformers' own model in float64 as the oracle, and torch's sums
in several orders as the envelope: first the traced graph's mathematics, then the compiled program.
There is no catalogue of faults for other architectures. What the run would have noticed is shown by
mutants of the candidate's own graph; a failing stage is explained by the formulas of a Llama, where
they hold, and by the change of one operation that would make it right.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from max.dtype import DType
from threadpoolctl import threadpool_limits

from reference.decoder import ORDERS, Decoder, in_float64, in_regime
from reports.commands import UsageError
from verify.candidate.allowance import with_rounded_constants
from verify.candidate.guard import compiling
from verify.candidate.narrowing import narrowest
from verify.candidate.observation import Observation
from verify.checks.blame import Meaning
from verify.checks.declared import range_check
from verify.checks.stages import check_case
from verify.checks.whole import padding_checks
from verify.graph.errors import GraphError
from verify.judge.verdict import Check
from verify.mathematics import of_graph
from verify.mutants.forced import forced
from verify.mutants.mutation_score import Mutants
from verify.mutants.repair import in_a_sentence, repairs
from verify.outcome import Outcome
from verify.pairing.outline import BATCH, LENGTH, ReferenceOutline
from verify.pairing.prepare import paired_with, refuse_changing
from verify.truth import envelope
from verify.truth.any_decoder import DecoderMathematics, decoder_cases, with_probes
from verify.truth.cases import LARGE_PARAMETERS
from verify.truth.expectation import Expectation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reference.trace import Array
    from verify.candidate.model_graphs import Computing
    from verify.mutants.forced import Forced
    from verify.pairing.prepare import NamedCandidate
    from verify.pairing.translated import PairedBound, PairedCandidate
    from verify.truth.cases import Case

SIZES = ((1, 1), (1, 9), (2, 33))
"""(batch, length) of the cases where a user names none, as far as the model's positions allow."""

EXCUSED = "not a separate module in the candidate: checked at the next visible tap"


def decoder_sizes(
    config: Any, lengths: Sequence[int] | None, batches: Sequence[int] | None
) -> list[tuple[int, int]]:
    """(batch, length) of the cases: what a user names, crossed, or `SIZES` as far as they fit.

    Raises:
        UsageError: where a length is beyond the model's positions.
    """
    most = config.max_position_embeddings
    if lengths and max(lengths) > most:
        raise UsageError(
            f"--lengths: {max(lengths)} tokens are more than the model's {most} positions"
        )
    fitting = [(batch, length) for batch, length in SIZES if length <= most]
    if lengths is None and batches is None:
        return fitting
    return [
        (batch, length)
        for batch in batches or (1,)
        for length in lengths or [length for _, length in fitting]
    ]


@dataclass(frozen=True)
class DecoderReferences:
    """A decoder in float32, in float64, and in other orders of evaluation."""

    torch: Decoder
    oracle: Decoder
    others: tuple[Decoder, ...]

    @classmethod
    def of(cls, model: Any) -> DecoderReferences:
        """From a float32 model of transformers."""
        others = tuple(Decoder(model, order) for order in ORDERS)
        return cls(Decoder(model), in_float64(model), others)

    def expectation(self, case: Case, given_taps: Sequence[str]) -> Expectation:
        """All that one case's checks need."""
        torch_free = self.torch.trace(case.ids)
        given = {tap: torch_free[tap] for tap in given_taps}
        sample = envelope.sample(case.ids, given, case.seed)
        isolated = self.oracle.trace(sample.ids, sample.given)
        models = (self.torch, *self.others)
        evaluations = [model.trace(sample.ids, sample.given) for model in models]
        stages = envelope.isolated(sample, isolated, evaluations)
        free = self.oracle.trace(sample.ids)
        runs = [model.trace(sample.ids) for model in models]
        return Expectation(
            case=case,
            oracle=self.oracle,
            dtype="float32",
            given=given,
            isolated=sample.original(isolated),
            torch_isolated=sample.original(evaluations[0]),
            torch_free=torch_free,
            isolated_envelope={tap: stage.envelope for tap, stage in stages.items()},
            free=sample.original(free),
            free_envelope=envelope.free(self.oracle, sample, free, stages, case.seed, runs),
        )


def decoder_outline(model: Any) -> ReferenceOutline:
    """What a decoder of transformers consists of."""
    ids = np.zeros((BATCH, LENGTH), np.int64)
    decoder = Decoder(model)
    trace = decoder.trace(ids)
    count = model.config.num_hidden_layers
    block = next(
        f"{name}.{{layer}}"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    )
    parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
    embedding = next(n for n, p in parameters.items() if p[0] == model.config.vocab_size)
    tied = "lm_head.weight" if "lm_head.weight" in parameters else embedding
    return ReferenceOutline(
        parameters=parameters,
        places={tap: array.shape for tap, array in trace.items()},
        block=block,
        n_layer=count,
        fused=(),
        out_in=True,
        head=(decoder.head, tied),
        inner=block.split(".")[0],
    )


def weights_of(model: Any) -> dict[str, Array]:
    """A model's parameters by transformers' names."""
    return {name: p.detach().numpy() for name, p in model.named_parameters()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderPlan:
    """What to verify.

    Attributes:
        model: of transformers in float32, as `load_decoder` returns it.
        subject: the candidate; its factory is called with transformers' configuration.
        prepared: the candidate, where it was prepared before anything was written.
        sizes: (batch, length) of the cases.
        regimes: states of the weights (`reference.decoder.in_regime`).
        seed: draws token ids, regimes, envelopes and mutants.
        quick: stop after the mathematics, before anything is compiled.
        compile_anyway: compile also a model whose mathematics is wrong.
        every_mutant: judge all mutants of the graph, not a sample.
    """

    model: Any
    subject: NamedCandidate
    prepared: PairedCandidate | None = None
    sizes: Sequence[tuple[int, int]] = SIZES
    regimes: Sequence[str] = ("given",)
    seed: int = 0
    quick: bool = False
    compile_anyway: bool = False
    every_mutant: bool = False


def verify_decoder(
    plan: DecoderPlan,
    emit: Callable[[Check], None] = lambda _: None,
    status: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Verify a candidate against a decoder of transformers.

    Args:
        plan: what to verify.
        emit: called with every check as soon as it is made.
        status: called with a few words whenever a new part begins.
    """
    status("cpu: tracing the model")
    paired = plan.prepared or prepare_decoder(plan.subject, plan.model)
    outcome = Outcome(
        order=list(paired.reference.places),
        pairing=paired.pairing,
        notes=paired.notes,
        mutants=Mutants(every=plan.every_mutant, seed=plan.seed),
    )
    outcome.expected = expected_taps(paired)

    def add(checks: Iterator[Check], regime: str = "given") -> None:
        for check in checks:
            outcome.checks.append(replace(check, regime=regime, device="cpu"))
            emit(outcome.checks[-1])

    add(_unheld(paired))
    for regime in plan.regimes:
        add(_mathematics(plan, paired, regime, outcome, status), regime)
    add(outcome.mutants.checks())
    if not plan.quick and (outcome.verdict != "FAIL" or plan.compile_anyway):
        for regime in plan.regimes:
            add(_compiled(plan, paired, regime, outcome, status), regime)
        outcome.explain()
    return outcome


def expected_taps(paired: PairedCandidate) -> dict[str, str]:
    """By each tap of the reference, "" where the candidate shows it, or why it does not."""
    shown = set(paired.forced_taps)
    return {tap: "" if tap in shown else EXCUSED for tap in paired.reference.places}


def _unheld(paired: PairedCandidate) -> Iterator[Check]:
    """What the candidate has no parameter for."""
    yield from padding_checks(paired)
    for name in paired.pairing.unheld:
        message = f"the candidate holds no parameter for {name}"
        yield Check(case="coverage", mode="coverage", tap=name, verdict="FAIL", message=message)


def _mathematics(
    plan: DecoderPlan, paired: PairedCandidate, regime: str, outcome: Outcome,
    status: Callable[[str], None],
) -> Iterator[Check]:  # fmt: skip
    """Whether the traced graph is the same mathematics; nothing is compiled for that."""
    model = in_regime(plan.model, regime, seed=plan.seed)
    with one_thread_if_small(model):
        truth = DecoderMathematics(model)
        try:
            yield from mathematics_checks(
                paired, model, plan.sizes, plan.seed, truth, outcome, status, regime=regime
            )
        except GraphError as error:
            message = f"judged compiled only: {error}"
            yield Check(case="graph", mode="math", tap="", verdict="SKIP", message=message)


def mathematics_checks(
    paired: PairedCandidate, model: Any, sizes: Sequence[tuple[int, int]], seed: int,
    truth: DecoderMathematics, outcome: Outcome, status: Callable[[str], None], *,
    regime: str = "given",
) -> Iterator[Check]:  # fmt: skip
    """Whether a traced graph is the same mathematics, stage by stage; its mutants are looked at.

    Args:
        paired: the model under test.
        model: of transformers, in float32.
        sizes: (batch, length) of the cases.
        seed: draws token ids.
        truth: transformers in float64, and other orders of its sums.
        outcome: of the run: keeps what fails until it is explained, and the mutants.
        status: called with a few words whenever a new part begins.
        regime: the state of the weights that the model has.

    Raises:
        GraphError: where the graph cannot be evaluated.
    """
    weights = paired.weights_of(weights_of(model))
    bound, declared = paired.evaluated(weights), paired.evaluated(weights, "declared")
    graph = forced(paired, bound)
    for case in with_probes(model.config, sizes, seed, regime):
        status(f"{case.name}, mathematics")
        expected = truth.expectation(case, paired.given_taps)
        observed = Observation(bound, expected)
        expected = with_rounded_constants(expected, bound, observed)
        checks = list(_checked(observed, expected))
        outcome.artefacts.look(observed, expected, checks)
        checks.append(range_check(expected, observed, declared, narrowest(weights.values())))
        yield from map(of_graph, checks)
        computing = partial(_computing, bound, expected)
        _kept(checks, observed, expected, paired, outcome, computing)
        outcome.mutants.look(expected, graph)
    _explain(outcome, graph)


def _explain(outcome: Outcome, graph: Forced) -> None:
    """Say what the failing stages compute instead, and what change would make the first right."""
    failed = outcome.failures.of_first_place()
    outcome.explain()
    if failed:
        change = in_a_sentence(repairs(failed.expected, graph, failed.tap))
        first = outcome.findings[0]
        text = "; ".join(filter(None, [first.text, change]))
        outcome.findings[0] = replace(first, text=text)


def _kept(
    checks: list[Check], observed: Observation, expected: Expectation, paired: PairedCandidate,
    outcome: Outcome, computing: Callable[[str], Computing] | None = None,
    declared: Callable[[str], Computing] | None = None,
) -> None:  # fmt: skip
    """Keep the failing stages of a case until they are explained."""
    failed = [c.tap for c in checks if c.mode == "isolated" and c.verdict == "FAIL"]
    visible = paired.forced_taps
    outcome.failures.add(failed, observed.forced, expected, visible, computing, declared)


def _computing(bound: PairedBound, expected: Expectation, tap: str) -> Computing:
    """The graph that computes a place, with what it takes in a case."""
    return bound.computing([tap], expected.case.ids, expected.given)


@contextmanager
def one_thread_if_small(model: Any) -> Iterator[None]:
    """One thread for a small model: its products wait for each other longer than they compute."""
    small = sum(p.numel() for p in model.parameters()) <= LARGE_PARAMETERS
    before = torch.get_num_threads()
    torch.set_num_threads(1 if small else before)
    try:
        with threadpool_limits(1 if small else None, "blas"):
            yield
    finally:
        torch.set_num_threads(before)


def _compiled(
    plan: DecoderPlan, paired: PairedCandidate, regime: str, outcome: Outcome,
    status: Callable[[str], None],
) -> Iterator[Check]:  # fmt: skip
    """Whether the compiled program computes it; it is compiled once for all regimes."""
    status("cpu: compiling the model")
    outcome.compiled = True
    model = in_regime(plan.model, regime, seed=plan.seed)
    weights = paired.weights_of(weights_of(model))
    with compiling(plan.subject.name):
        bound = paired.bind(weights)
    meaning = Meaning(paired, weights)
    references = DecoderReferences.of(model)
    for case in decoder_cases(model.config, plan.sizes, plan.seed, regime):
        status(case.name)
        expected = references.expectation(case, paired.given_taps)
        observed = Observation(bound, expected)
        blame = partial(meaning.blame, observed=observed, expected=expected)
        checks = outcome.blamed(list(_checked(observed, expected)), blame)
        yield from checks
        graph, declared = (
            partial(_computing, paired.evaluated(weights, precision), expected)
            for precision in ("float64", "declared")
        )
        _kept(checks, observed, expected, paired, outcome, graph, declared)
        whole = case.ids.shape == SIZES[-1]
        outcome.artefacts.look(observed, expected, checks, tokens=whole)


def _checked(observed: Observation, expected: Expectation) -> Iterator[Check]:
    """The checks of one case, with the size of its input."""
    batch, length = expected.case.ids.shape
    for check in check_case(observed, expected):
        yield replace(check, batch=batch, length=length)


def prepare_decoder(subject: NamedCandidate, model: Any) -> PairedCandidate:
    """Build, examine, pair and trace a candidate for a decoder."""
    try:
        origin = subject.built(model.config, "cpu", DType.float32)
        paired = paired_with(subject, origin, decoder_outline(model), "float32", fixed=True)
        refuse_changing(subject, origin, paired)
    finally:
        subject.end()
    return paired
