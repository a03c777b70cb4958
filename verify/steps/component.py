"""The last two phases of a step that is a MAX module: shapes by tracing, numbers by compiling.

The component alone is compiled, plain and with its stages cut; it is fed with PyTorch's activations
of a small model and judged by the rule that judges whole models.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from max.graph import TensorType

from impl.config import GPT2Config
from impl.model import GPT2MLP
from impl.runtime import build, input_type, open_device
from reference.checkpoint import Checkpoint
from reference.dtypes import DTYPES
from reference.regimes import initial_weights, with_regime
from reference.taps import block_of, module_of, with_layer
from verify.candidate.guard import a, compiling, guarded
from verify.candidate.randomness import refuse_random
from verify.explain.diagnosis import diagnose
from verify.graph.errors import GraphError
from verify.judge.acceptance import judge
from verify.judge.metrics import rms
from verify.pairing.built import Here
from verify.pairing.modules import fits
from verify.pairing.outline import BATCH, LENGTH, gpt2_outline
from verify.pairing.parameters import propose
from verify.pairing.prepare import check_dtypes
from verify.pairing.translated import PairedCandidate
from verify.steps.arguments import by_name, sizes
from verify.steps.course import STEPS, TOKENS
from verify.truth.cases import PROBE, PROBE_SIZE, probe_case, random_cases
from verify.truth.float64 import Mathematics
from verify.truth.references import References

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.trace import Array
    from verify.pairing.outline import CandidateOutline, ReferenceOutline
    from verify.pairing.translated import PairedBound
    from verify.steps.course import Step
    from verify.steps.lessons import Task
    from verify.truth.cases import Case
    from verify.truth.expectation import Expectation

SMALL = GPT2Config(vocab_size=97, n_positions=48, n_embd=64, n_layer=2, n_head=4)
"""The model that steps are checked in: no two of its sizes are equal."""


FUSED = 1e-3
"""Relative difference that fusing may make: a thousand times what rounding adds up to here, and a
thousandth of what a dropped mask makes. The stages themselves are judged by their envelopes."""

DROPPED = "MAX can drop a mask that is made by a comparison: verify/max_bugs/where_mask.py"


class StepError(Exception):
    """A phase that a file does not pass: why, and a hint, which `hints` go on from."""

    def __init__(
        self, problem: str, hint: str, notes: tuple[str, ...] = (), *,
        hints: tuple[str, ...] = (), task: Task | None = None,
    ) -> None:  # fmt: skip
        super().__init__(problem)
        self.hint = hint
        self.notes = notes
        self.hints = hints or (hint,)
        self.task = task


@dataclass(frozen=True)
class Component:
    """A traced component, with what it is compared with."""

    here: Here
    outline: CandidateOutline
    reference: ReferenceOutline


@cache
def small_checkpoint() -> Checkpoint:
    """Seeded random weights, none of them at the value that it starts from."""
    start = Checkpoint(name="small", config=SMALL, weights=initial_weights(SMALL, seed=1))
    return with_regime(start, "perturbed", seed=1)


def check_shapes(step: Step, factory: Any) -> Component:
    """Build and trace the component.

    Raises:
        StepError: where it is not a module, holds other parameters, or returns another shape.
        CandidateError: where its code raises, or declares another dtype than float32.
    """
    reference = _part_of(gpt2_outline(small_checkpoint()), step)
    model = _built(step, factory)
    types = _types(step)
    here = Here(step.name, model, open_device("cpu"), types=types)
    with guarded(f"{step.name}.forward"):
        outline = here.outline()
    check_dtypes(outline, "float32", fixed=True)
    expected = reference.places[step.result]
    if not fits(outline.gives, expected):
        raise StepError(
            f"{step.name} returns shape {list(outline.gives)}, not {list(expected)}, "
            f"for {BATCH} rows of {LENGTH} tokens",
            f"shapes: {step.shapes}",
        )
    return Component(here, outline, reference)


def _part_of(reference: ReferenceOutline, step: Step) -> ReferenceOutline:
    """The reference as if it were the component alone."""
    parameters = {n: s for n, s in reference.parameters.items() if n.startswith(step.holds)}
    inside = tuple(prefix.rstrip(".") for prefix in step.holds)
    head = reference.head if step.result == reference.head[0] else (step.result, "")
    places = {
        tap: shape
        for tap, shape in reference.places.items()
        if module_of(tap) == step.result or tap.startswith(inside)
    }
    single = bool(block_of(step.holds[0]))
    return replace(
        reference,
        parameters=parameters,
        places=places,
        n_layer=1 if single else reference.n_layer,
        fused=tuple(name for name in reference.fused if name in parameters),
        head=head,
    )


def _types(step: Step) -> list[TensorType]:
    device = open_device("cpu")
    if step.takes == TOKENS:
        return [input_type(device)]
    return [TensorType(DType.float32, ["batch", "sequence", SMALL.n_embd], device=device)]


def _built(step: Step, factory: Any) -> Any:
    def make(config: Any) -> Any:
        with guarded(step.signature):
            model = _called(step, factory, config)
        if not isinstance(model, Module):
            raise StepError(
                f"{step.signature} returns {a(model)}, not a module",
                "derive the class from max.experimental.nn.Module",
            )
        return model

    return build(SMALL, open_device("cpu"), factory=make)


def _called(step: Step, factory: Any, config: GPT2Config) -> Any:
    if step.number == 3:
        return factory(config.n_embd, eps=config.layer_norm_epsilon)
    if step.number == 8:
        return factory(config, GPT2MLP(config))
    arguments = by_name(factory, sizes(config))
    model = factory(config) if arguments is None else factory(**arguments)
    return AtPositions(model) if step.number == 6 and _takes_positions(model) else model


class AtPositions(Module[[Tensor], Tensor]):
    """Position embeddings that take positions, and are given token ids: the harness's own."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        """The rows of positions 0, 1, ..., S - 1."""
        length = input_ids.shape[-1]
        positions = F.arange(0, length, dtype=DType.int64, device=input_ids.device)
        result: Tensor = self.model(positions)
        return result


def _takes_positions(model: Any) -> bool:
    """Whether what a module is called with is named after positions."""
    if not isinstance(model, Module):
        return False
    names = list(inspect.signature(model.forward).parameters)
    return bool(names) and "pos" in names[0].lower()


def is_whole(component: Component) -> bool:
    """Whether a component holds the step's parameters, all of them and no others.

    Args:
        component: what it is.
    """
    pairing = propose(component.outline, component.reference)
    names = {p.name for p in component.outline.parameters}
    return not pairing.unheld and names == pairing.weights.keys()


def check_numbers(step: Step, component: Component, *, quick: bool = False) -> None:
    """Judge each stage of the component: its mathematics first, then what MAX compiles of it.

    Args:
        step: what it should be.
        component: what it is.
        quick: judge the mathematics alone; nothing is compiled.

    Raises:
        StepError: at the first stage that is wrong, with a diagnosis.
    """
    pairing = propose(component.outline, component.reference)
    if pairing.unheld:
        raise StepError(
            f"it holds no parameter for {_short(pairing.unheld[0])}", f"shapes: {step.shapes}"
        )
    extra = [p.name for p in component.outline.parameters if p.name not in pairing.weights]
    if extra:
        raise StepError(
            f"its parameter {extra[0]} has no counterpart in GPT-2",
            "what is not learned belongs in forward, not in an attribute",
        )
    paired = PairedCandidate(component.here, component.outline, pairing, component.reference)
    refuse_random(paired.candidate)
    weights = paired.weights_of(small_checkpoint().weights)
    _check_mathematics(step, paired, weights, alone=quick)
    if quick:
        return
    with compiling(step.name):
        bound = paired.bind(weights)
    references = References(small_checkpoint())
    for case in _cases():
        _judge_case(step, case, paired, bound, references)


def _check_mathematics(
    step: Step, paired: PairedCandidate, weights: Mapping[str, Array], *, alone: bool
) -> None:
    """The traced graph in float64, on activations that leave small faults nowhere to hide too."""
    truth = Mathematics(small_checkpoint())
    evaluated = paired.evaluated(weights)
    probe = probe_case(SMALL, "perturbed", seed=0, device="cpu")
    try:
        for case in [*_cases(), probe]:
            _judge_case(step, case, paired, evaluated, truth)
    except GraphError as error:
        if alone:
            raise StepError(f"only compiling can tell: {error}", "run it without --quick") from None


def _cases() -> list[Case]:
    return random_cases(SMALL, "perturbed", [PROBE_SIZE, (1, 1), (3, 9)], seed=0, device="cpu")


def _judge_case(
    step: Step,
    case: Case,
    paired: PairedCandidate,
    bound: PairedBound,
    references: References | Mathematics,
) -> None:
    inside = tuple(paired.reference.places)
    outer = [
        t
        for t in references.oracle.output_taps()
        if t not in inside and not step.result.startswith(f"{t}.")
    ]
    expected = references.expectation(case, [*outer, *paired.given_taps])
    x = case.ids
    if step.takes != TOKENS:
        x = expected.isolated[step.takes].astype(DTYPES[expected.dtype])
    trace = bound.forced_trace(x, expected.given)
    # What lies outside the component is not in doubt: no fault is looked for there.
    known = [tap for tap in expected.isolated if tap in trace or tap not in inside]
    for tap in expected.isolated:
        if tap in trace and not (tap == step.takes and tap.startswith(step.result)):
            _judge_tap(step, tap, trace[tap], expected, known)
    if case.label != PROBE:  # a probe's activations are not those of one run through the component
        _judge_plain(bound.logits(x), expected.isolated[step.result])


def _judge_tap(step: Step, tap: str, found: Any, expected: Expectation, visible: list[str]) -> None:
    standard = expected.at(tap, alone=True)
    judgement = judge(found, standard.truth, standard.envelope, expected.dtype)
    if judgement.verdict != "PASS":
        sentence = diagnose(tap, found, expected, visible)
        batch, length = expected.case.ids.shape
        raise StepError(
            f"{_short(sentence)} ({judgement.message}; {batch} rows of {length} tokens)",
            f"compare with the formula, term by term: {_hint(step, tap)}{_unseen(sentence)}",
        )


def _judge_plain(found: Array, truth: Array) -> None:
    """The graph without taps, which MAX may fuse as it likes, computes the same."""
    found = found.reshape(truth.shape) if found.size == truth.size else found
    if found.shape != truth.shape or not rms(found - truth) <= FUSED * rms(truth):
        raise StepError(
            "its stages are right one by one, but compiled without taps the result is another",
            DROPPED,
        )


def _short(text: str) -> str:
    return text.replace("transformer.", "").replace("h.0.", "")


def _hint(step: Step, tap: str) -> str:
    """The formula of the smallest step around a place; of this one between equals."""
    place = with_layer(module_of(tap), 0)
    near = [s for s in STEPS if s.result and f"{place}.".startswith(f"{s.result}.")]
    best = max(near, key=lambda s: (len(s.result), s.number == step.number), default=step)
    return f"{best.formula} (step {best.number})"


def _unseen(sentence: str) -> str:
    """A mask that is missing may have been written, and dropped by the compiler."""
    return f"; if you wrote a mask: {DROPPED}" if "[mask_missing]" in sentence else ""
