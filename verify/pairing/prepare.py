"""From what a user names to a model under test: built, examined, paired, compiled, settled."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from max.experimental.nn import Module
from max.experimental.tensor import Tensor

from impl.model import GPT2LMHead
from impl.runtime import build, open_device
from reference.oracle import Oracle
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError, a, compiling, guarded
from verify.candidate.randomness import refuse_random
from verify.graph.errors import GraphError
from verify.graph.form import is_floating
from verify.judge.metrics import rms
from verify.pairing.file import Corrections, from_toml
from verify.pairing.outline import BATCH, LENGTH, PADDED_VOCAB, gpt2_outline
from verify.pairing.padding import WithoutPadding, asked, padding_of, trimmed
from verify.pairing.parameters import propose
from verify.pairing.translated import PairedCandidate, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from max.driver import Device
    from max.dtype import DType
    from max.graph import Module as Program

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
        factory: called with the configuration, returns a MAX module tree.
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
        self.lm_head = GPT2LMHead(Tensor.zeros([vocab_size, n_embd], dtype=dtype))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids to logits."""
        return self.lm_head(self.model(input_ids))


def built(subject: NamedCandidate, config: Any, device: Device, dtype: DType) -> Any:
    """The candidate's module tree.

    Raises:
        CandidateError: where its code raises, or makes something else than a module.
    """

    def make(config: Any) -> Any:
        with guarded(f"{subject.name}(config)"):
            model = subject.factory(config)
        if not isinstance(model, Module):
            raise CandidateError(
                f"{subject.name}(config) returns {a(model)}, not a max.experimental.nn.Module"
            )
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
    with guarded(f"{subject.name}.forward(input_ids)"):
        outline = examine(model, device)
    if outline.gives != expected.shape:
        raise CandidateError(_wrong_shape(subject, outline, expected))
    return outline


def _check_dtypes(outline: CandidateOutline, dtype: DType) -> None:
    """Refuse a candidate none of whose parameters has the dtype that it is verified in."""
    kinds = {p.dtype for p in outline.parameters if is_floating(p.dtype)}
    if kinds and dtype.name not in kinds:
        found = " and ".join(sorted(kinds))
        raise CandidateError(
            f"its parameters are {found}: verify with --dtype {sorted(kinds)[0]}, or declare "
            f"{dtype.name}"
        )


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
    _check_dtypes(outline, dtype)
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
        with guarded(f"{subject.name}.forward(input_ids)"):
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
    tensors = dict(model.parameters)
    with guarded(f"the value of {subject.name}'s {missing[0]}"):
        return {name: np.array(tensors[name].to_numpy(), copy=True) for name in missing}


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
