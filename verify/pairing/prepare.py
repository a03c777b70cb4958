"""From what a user names to a model under test: built, examined, paired, compiled, settled."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from impl.runtime import open_device
from reference.dtypes import DECLARED
from reference.oracle import Oracle
from verify.candidate.guard import CandidateError, guarded
from verify.candidate.randomness import refuse_random
from verify.graph.errors import GraphError
from verify.graph.form import is_floating, numpy_dtype
from verify.judge.metrics import rms
from verify.pairing.built import Here, Wanted, built_here
from verify.pairing.candidate_apart import CandidateApart
from verify.pairing.file import Corrections, from_toml
from verify.pairing.outline import PADDED_VOCAB, gpt2_outline
from verify.pairing.padding import padding_of, trimmed
from verify.pairing.parameters import propose
from verify.pairing.translated import PairedCandidate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from max.dtype import DType
    from max.graph import Module as Program

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.pairing.outline import CandidateOutline, ReferenceOutline

MOST_TRIALS = 64
"""Alternatives of a pairing that are tried at most."""

OUTPUTS = ("logits", "hidden")


Origin = Here | CandidateApart
"""A candidate that was built, in this process or in its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCandidate:
    """A candidate as a user names it.

    Attributes:
        name: what it is called in messages.
        factory: called with the configuration, returns a tree of MAX modules, or a callable over
            `max.graph.ops`; None where that happens in a process of the candidate's own.
        apart: that process.
        output: `logits`, or `hidden` for a model that returns what its last LayerNorm returns.
        corrections: what a pairing file says.
        padded_vocab: whether it has rows and columns beyond the vocabulary.
    """

    name: str
    factory: Callable[[Any], Any] | None = None
    apart: CandidateApart | None = None
    output: str = "logits"
    corrections: Corrections | None = None
    padded_vocab: bool = False

    def built(self, config: Any, device: str, dtype: DType) -> Origin:
        """The candidate made from a configuration.

        Args:
            config: what its factory is called with.
            device: name of the device.
            dtype: of its parameters.

        Raises:
            CandidateError: where its code raises, makes something else than a model, or a model of
                the graph API without weights.
        """
        wanted = Wanted(
            name=self.name, config=config, dtype=dtype, output=self.output,
            padded_vocab=self.padded_vocab,
        )  # fmt: skip
        if self.apart is not None:
            self.apart.build(wanted, device)
            return self.apart
        if self.factory is None:
            raise TypeError(f"{self.name} has neither a factory nor a process")
        return built_here(wanted, self.factory, open_device(device))

    @property
    def files(self) -> list[str]:
        """Its own files, as far as they were imported; none where it is built in this process."""
        return self.apart.files if self.apart is not None else []

    def end(self) -> None:
        """End the candidate's process, where it has one: its graphs are all that is needed now."""
        if self.apart is not None:
            self.apart.end()


def subject_of(
    candidate: str,
    pairing: Path | None,
    output: str,
    n_layer: int,
    *,
    padded_vocab: bool = False,
) -> NamedCandidate:
    """The candidate that `FILE.py:NAME` names, with what a pairing file corrects, if it is there.

    It is imported in a process of its own, which goes on until `NamedCandidate.end`.

    Raises:
        CandidateError, verify.pairing.counterpart.PairingError: where either cannot be read.
    """
    corrections = from_toml(pairing, n_layer) if pairing and pairing.exists() else None
    return NamedCandidate(
        name=candidate.rpartition(":")[2],
        apart=CandidateApart(candidate),
        output=output,
        corrections=corrections,
        padded_vocab=padded_vocab,
    )


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

    The candidate's process, where it has one, is ended.

    Args:
        subject: the candidate.
        checkpoint: configuration, and weights that settle what names leave open.
        device: name of the device.
        dtype: of its parameters.
        program: shall have its forced graph besides, under names of its own; what names leave open
            is then settled by the caller.

    Raises:
        CandidateError: whatever is wrong with the candidate.
        verify.pairing.counterpart.PairingError: whatever is wrong with the pairing file.
    """
    try:
        origin = subject.built(checkpoint.config, device, dtype)
        if program is not None and isinstance(origin, Here):
            origin = origin.sharing(f"{subject.name}/", program)
        paired = paired_with(subject, origin, gpt2_outline(checkpoint), dtype.name)
        if program is None:
            refuse_changing(subject, origin, paired)
    finally:
        subject.end()
    if program is None:
        settle(paired, checkpoint, subject.corrections)
    return paired


def paired_with(
    subject: NamedCandidate,
    origin: Origin,
    reference: ReferenceOutline,
    dtype: str,
    *,
    fixed: bool = False,
) -> PairedCandidate:
    """A candidate examined, paired with a reference, and traced.

    Args:
        subject: the candidate.
        origin: as it was built.
        reference: what it is compared with.
        dtype: that it is verified in.
        fixed: whether a user cannot choose another.

    Raises:
        CandidateError: whatever is wrong with the candidate.
        verify.pairing.counterpart.PairingError: whatever is wrong with the pairing file.
    """
    outline = origin.examined(reference.places[reference.head[0]], subject.output)
    check_dtypes(outline, dtype, fixed=fixed)
    outline = without_padding(subject, outline, reference)
    pairing = propose(outline, reference, subject.corrections)
    missing = [p.name for p in outline.parameters if p.name not in pairing.weights]
    own = origin.values(missing) if missing else {}
    return PairedCandidate(origin, outline, pairing, reference, own=own)


def refuse_changing(subject: NamedCandidate, origin: Origin, paired: PairedCandidate) -> None:
    """Refuse a candidate that draws random numbers, or that is not the same in every trace.

    Args:
        subject: the candidate.
        origin: as it was built.
        paired: as it was traced.

    Raises:
        CandidateError: where it does, or where its second trace fails.
    """
    refuse_random(paired.candidate)
    with guarded(origin.calling) if isinstance(origin, Here) else nullcontext():
        alike = paired.candidate.traces_alike()
    if not alike:
        raise CandidateError(
            f"two traces of {subject.name} differ: does forward read the clock, count its "
            "calls, or take numbers from Python's or NumPy's random?"
        )


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
