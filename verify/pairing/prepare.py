"""From what a user names to a model under test: built, examined, paired, compiled, settled."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from max.graph import DeviceRef, Weight

from impl.model import GPT2LMHead
from impl.runtime import build, open_device
from reference.dtypes import DECLARED
from reference.oracle import Oracle
from verify.candidate.factory import load_factory
from verify.candidate.graph_api import GraphModel
from verify.candidate.guard import CandidateError, a, compiling, guarded
from verify.candidate.randomness import refuse_random
from verify.candidate.result import Taking
from verify.candidate.signature import check_signature
from verify.graph.errors import GraphError
from verify.graph.form import is_floating, numpy_dtype
from verify.judge.metrics import rms
from verify.pairing.file import Corrections, from_toml
from verify.pairing.outline import BATCH, LENGTH, PADDED_VOCAB, gpt2_outline
from verify.pairing.padding import (
    GraphWithoutPadding,
    WithoutPadding,
    asked,
    padding_of,
    trimmed,
)
from verify.pairing.parameters import propose
from verify.pairing.translated import PairedCandidate, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from max.driver import Device
    from max.dtype import DType
    from max.graph import Module as Program
    from max.graph import TensorValue

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.pairing.counterpart import Counterpart
    from verify.pairing.outline import CandidateOutline, ReferenceOutline

MOST_TRIALS = 64
"""Alternatives of a pairing that are tried at most."""

OUTPUTS = ("logits", "hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCandidate:
    """A candidate as a user names it.

    Attributes:
        name: what it is called in messages.
        factory: called with the configuration, returns a tree of MAX modules, or a callable over
            `max.graph.ops`.
        output: `logits`, or `hidden` for a model that returns what its last LayerNorm returns.
        corrections: what a pairing file says.
        padded_vocab: whether it has rows and columns beyond the vocabulary.
    """

    name: str
    factory: Callable[[Any], Any]
    output: str = "logits"
    corrections: Corrections | None = None
    padded_vocab: bool = False


def subject_of(
    candidate: str,
    pairing: Path | None,
    output: str,
    n_layer: int,
    *,
    padded_vocab: bool = False,
) -> NamedCandidate:
    """The candidate that `FILE.py:NAME` names, with what a pairing file corrects, if it is there.

    Raises:
        CandidateError, verify.pairing.counterpart.PairingError: where either cannot be read.
    """
    corrections = from_toml(pairing, n_layer) if pairing and pairing.exists() else None
    return NamedCandidate(
        name=candidate.rpartition(":")[2],
        factory=load_factory(candidate),
        output=output,
        corrections=corrections,
        padded_vocab=padded_vocab,
    )


class WithHead(Module[[Tensor], Tensor]):
    """A model that returns hidden states, followed by GPT-2's head: the harness's own."""

    def __init__(self, model: Any, vocab_size: int, n_embd: int, dtype: DType) -> None:
        self.model = model
        self.taking = Taking("hidden", n_embd)
        self.lm_head = GPT2LMHead(Tensor.zeros([vocab_size, n_embd], dtype=dtype))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids to logits."""
        return self.lm_head(self.taking(self.model(input_ids)))


class GraphWithHead:
    """The same for a model of the graph API."""

    def __init__(
        self, model: Any, vocab_size: int, n_embd: int, dtype: DType, device: Device
    ) -> None:
        self.model = model
        self._taking = Taking("hidden", n_embd)
        self.lm_head = _GraphHead(vocab_size, n_embd, dtype, DeviceRef.from_device(device))

    def __call__(self, input_ids: TensorValue) -> TensorValue:
        """Token ids to logits."""
        return self.lm_head(self._taking(self.model(input_ids)).__tensorvalue__())

    @property
    def taking(self) -> Taking:
        """What is taken of what the model returns."""
        return self._taking


class _GraphHead:
    def __init__(self, vocab_size: int, n_embd: int, dtype: DType, device: DeviceRef) -> None:
        self.weight = Weight("weight", dtype, [vocab_size, n_embd], device)

    def __call__(self, hidden: TensorValue) -> TensorValue:
        return hidden @ self.weight.T


WRAPPERS = (WithHead, GraphWithHead, WithoutPadding, GraphWithoutPadding)
"""The harness's own modules around a candidate."""


def _of_graph_api(
    subject: NamedCandidate, model: Any, config: Any, device: Device, dtype: DType
) -> GraphModel:
    """A model that is no module of `max.experimental.nn`: of `max.nn`, or a plain callable."""
    if not callable(model) or isinstance(model, type):
        raise CandidateError(
            f"{subject.name}(config) returns {a(model)}: no module of max.experimental.nn or of "
            "max.nn, and no callable over max.graph.ops"
        )
    if not GraphModel(model).parameters:
        raise CandidateError(
            f"{subject.name}(config) returns {a(model)} that holds no weight: make each a "
            "max.graph.Weight, in an attribute, list or dict, for verify to give it values"
        )
    _check_device(model, device)
    if subject.output == "hidden":
        model = GraphWithHead(model, config.vocab_size, config.n_embd, dtype, device)
    elif subject.padded_vocab:
        model = GraphWithoutPadding(model, config.vocab_size)
    return GraphModel(model)


def _check_device(model: Any, device: Device) -> None:
    """Refuse a model none of whose weights is on the device that it is verified on."""
    devices = {str(weight.device) for _, weight in GraphModel(model).parameters}
    wanted = DeviceRef.from_device(device)
    if str(wanted) not in devices:
        raise CandidateError(
            f"its weights are on {' and '.join(sorted(devices))}, and it is verified on {wanted}: "
            "choose another --device, or make them there"
        )


def built(subject: NamedCandidate, config: Any, device: Device, dtype: DType) -> Any:
    """The candidate's module tree, or what stands for a model of the graph API.

    Raises:
        CandidateError: where its code raises, makes something else than a model, or a model of the
            graph API without weights.
    """

    def make(config: Any) -> Any:
        with guarded(f"{subject.name}(config)"):
            model = subject.factory(config)
        if not isinstance(model, Module):
            return _of_graph_api(subject, model, config, device, dtype)
        if subject.output == "hidden":
            return WithHead(model, config.vocab_size, config.n_embd, dtype)
        return WithoutPadding(model, config.vocab_size) if subject.padded_vocab else model

    return build(config, device, dtype, factory=make)


def examined(
    subject: NamedCandidate, model: Any, device: Device, expected: Array
) -> CandidateOutline:
    """What the candidate consists of.

    Args:
        subject: the candidate.
        model: its module tree.
        device: where it would run.
        expected: an array of the shape that it must return, for `outline.BATCH` rows.

    Raises:
        CandidateError: where its forward raises, or returns something else than logits.
    """
    own = model.model if isinstance(model, GraphModel) else model
    taking = Taking("logits", expected.shape[-1])
    if isinstance(own, WRAPPERS):  # what the model itself returns is taken there
        own, taking = own.model, own.taking
    check_signature(subject.name, own)
    with guarded(_calling(subject, model)):
        outline = examine(model, device, taking=taking)
    if outline.gives != expected.shape:
        raise CandidateError(_wrong_shape(subject, outline, expected))
    return outline


def _calling(subject: NamedCandidate, model: Any) -> str:
    """What is done when a model is traced, as a message has it."""
    own = "(config)" if isinstance(model, GraphModel) else ".forward"
    return f"{subject.name}{own}(input_ids)"


def check_dtypes(outline: CandidateOutline, dtype: str, *, fixed: bool = False) -> None:
    """Refuse a candidate that declares another precision than it is verified in.

    Parameters of more bits are welcome: LayerNorms in float32 in a model of bfloat16, say. Where
    all have more, the model declares another precision.

    Args:
        outline: of the candidate.
        dtype: that it is verified in.
        fixed: whether a user cannot choose another.

    Raises:
        CandidateError: with what its parameters are.
    """
    kinds = {p.name: p.dtype for p in outline.parameters if is_floating(p.dtype)}
    narrow = {name: kind for name, kind in kinds.items() if not _holds(kind, dtype)}
    if not kinds or (dtype in kinds.values() and not narrow):
        return
    wrong = narrow or kinds
    found = sorted(set(wrong.values()))
    what = "s are"
    if len(wrong) < len(kinds):
        first, several = next(iter(wrong)), len(wrong) - 1
        what = f"s {first} and {several} more are" if several else f" {first} is"
    advice = "" if fixed or found[0] not in DECLARED else f"verify with --dtype {found[0]}, or "
    raise CandidateError(f"its parameter{what} {' and '.join(found)}: {advice}declare {dtype}")


def _holds(kind: str, dtype: str) -> bool:
    """Whether every number of a dtype can be held in another."""
    wide, narrow = (ml_dtypes.finfo(numpy_dtype(each)) for each in (kind, dtype))  # type: ignore[no-untyped-call]
    return bool(wide.nmant >= narrow.nmant and wide.maxexp >= narrow.maxexp)


def _wrong_shape(subject: NamedCandidate, outline: CandidateOutline, expected: Array) -> str:
    found, wanted = list(outline.gives), list(expected.shape)
    text = (
        f"{subject.name}.forward(input_ids) returns shape {found} for token ids of shape "
        f"{[BATCH, LENGTH]}; logits have {wanted}"
    )
    if subject.output != "logits" or len(found) != 3 or found[:2] != wanted[:2]:
        return text
    if padded := asked(found[2], wanted[2]):
        return f"{text} ({padded})"
    return f"{text} (for a model that returns hidden states: --output hidden)"


def without_padding(
    subject: NamedCandidate, outline: CandidateOutline, reference: ReferenceOutline
) -> CandidateOutline:
    """The outline as if the vocabulary were not padded, where that is asked for.

    Args:
        subject: the candidate.
        outline: as it was examined.
        reference: what it is compared with.

    Raises:
        CandidateError: where nothing is padded and that was asked for, or the other way round.
    """
    within = subject.padded_vocab and subject.output == "logits"
    padding = padding_of(outline, reference, within=within)
    if subject.padded_vocab:
        if not padding.shapes and not padding.columns:
            raise CandidateError(
                f"{subject.name} has no padded vocabulary: leave {PADDED_VOCAB} out"
            )
        table = reference.parameters[reference.head[1]]
        known = {shape for p in outline.parameters for shape in (p.shape, p.shape[::-1])}
        if not padding.shapes and table not in known:
            raise CandidateError(
                f"{PADDED_VOCAB}: which parameter of {subject.name} has padded rows cannot be told "
                "from shapes: another one has the same shape"
            )
        return trimmed(outline, reference, padding)
    if padding.shapes:
        name, shape = next(iter(padding.shapes.items()))
        raise CandidateError(
            f"{name} has shape {list(shape)}, and the vocabulary has {padding.vocab_size} tokens: "
            f"for a table with rows of padding: {PADDED_VOCAB}"
        )
    return outline


def prepare(
    subject: NamedCandidate,
    checkpoint: Checkpoint,
    device: str,
    dtype: DType,
    program: Program | None = None,
) -> PairedCandidate:
    """Build, examine, pair and trace a candidate; it is compiled when it is first bound.

    Args:
        subject: the candidate.
        checkpoint: configuration, and weights that settle what names leave open.
        device: name of the device.
        dtype: of its parameters.
        program: see `PairedCandidate`; its caller settles what names leave open.

    Raises:
        CandidateError: whatever is wrong with the candidate.
        verify.pairing.counterpart.PairingError: whatever is wrong with the pairing file.
    """
    opened = open_device(device)
    reference = gpt2_outline(checkpoint)
    model = built(subject, checkpoint.config, opened, dtype)
    logits = np.empty(reference.places[reference.head[0]])
    outline = examined(subject, model, opened, logits)
    check_dtypes(outline, dtype.name)
    outline = without_padding(subject, outline, reference)
    pairing = propose(outline, reference, subject.corrections)
    own = _own_values(model, outline, pairing.weights, subject)
    name = "" if program is None else f"{subject.name}/"
    with compiling(subject.name):
        paired = PairedCandidate(
            model, opened, outline, pairing, reference, own=own, name=name, program=program
        )
    if program is None:
        refuse_random(paired.candidate)
        with guarded(_calling(subject, model)):
            alike = paired.candidate.traces_alike()
        if not alike:
            raise CandidateError(
                f"two traces of {subject.name} differ: does forward read the clock, count its "
                "calls, or take numbers from Python's or NumPy's random?"
            )
        settle(paired, checkpoint, subject.corrections)
    return paired


def _own_values(
    model: Any,
    outline: CandidateOutline,
    weights: Mapping[str, Counterpart],
    subject: NamedCandidate,
) -> dict[str, Array]:
    """Parameters that the reference lacks, a stored mask say, with the values given to them.

    MAX computes them one by one, which can take a minute.
    """
    missing = [p.name for p in outline.parameters if p.name not in weights]
    if not missing:
        return {}
    if isinstance(model, GraphModel):
        return {name: _given_value(model, name) for name in missing}
    tensors = dict(model.parameters)
    with guarded(f"the value of {subject.name}'s {missing[0]}"):
        return {name: np.array(tensors[name].to_numpy(), copy=True) for name in missing}


def _given_value(model: GraphModel, name: str) -> Array:
    """What a model of the graph API holds in a weight that the reference lacks."""
    value = model.value_of(name)
    if value is None:
        raise CandidateError(
            f"its weight {name} has no counterpart in the reference and no value: make it a "
            "constant of the graph, or pair it with --pairing"
        )
    return value


def settle(
    paired: PairedCandidate,
    checkpoint: Checkpoint,
    corrections: Corrections | None = None,
    run: Callable[[PairedCandidate, Array], Array] | None = None,
) -> None:
    """Try the alternatives that names leave open, and keep those nearest to the reference.

    Args:
        paired: the candidate.
        checkpoint: weights to try them with.
        corrections: what a pairing file says.
        run: gives the candidate's logits for token ids; None for its plain graph, evaluated.
    """
    if not paired.pairing.doubts:
        return
    ids = np.arange(16, dtype=np.int64)[None] % checkpoint.config.vocab_size
    ids = ids[:, : checkpoint.config.n_positions]
    truth = Oracle(checkpoint).trace(ids)[paired.reference.head[0]]
    trials = list(itertools.islice(itertools.product(*paired.pairing.doubts), MOST_TRIALS))
    base = paired.pairing

    if run is None:
        run = _plain_logits(checkpoint)

    def distance(index: int) -> float:
        paired.pairing = base.settled(trials[index])
        found = run(paired, ids)
        error = rms(found.astype(np.float64) - truth)
        return error if np.isfinite(error) else float("inf")

    best = min(range(len(trials)), key=distance)
    chosen = base.settled(trials[best])
    known = corrections or Corrections({}, {})
    merged = replace(known, weights={**chosen.weights, **known.weights})
    paired.use(propose(paired.outline, paired.reference, merged))


def _plain_logits(checkpoint: Checkpoint) -> Callable[[PairedCandidate, Array], Array]:
    def run(paired: PairedCandidate, ids: Array) -> Array:
        weights = paired.weights_of(checkpoint.weights)
        try:
            return paired.evaluated(weights).logits(ids)
        except GraphError:  # only compiling can tell
            return paired.bind(weights).logits(ids)

    return run
