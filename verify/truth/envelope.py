"""The envelope: how far legitimate evaluations stray from the truth, measured for each input.

In isolation, every evaluation order computes each stage on the same given activations, and its
error is compared with float64 directly. Running free, errors of one stage travel through all later
ones; there the oracle itself is run with each stage's isolated errors added on the way, signs drawn
at random, so that what is allowed at a tap is what correct stages before it can add up to; real
free runs in the candidate's precision widen it further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.dtypes import unit_roundoff
from reference.trace import Recorder
from verify.judge.acceptance import EXACT, Envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.decoder import Decoder
    from reference.oracle import Oracle
    from reference.trace import Array, Trace

DRAWS = 16
"""Runs of the oracle with errors added, copies of the input counted; their worst deviation is the
envelope of a free run. Where one near-tie of a saturated softmax carries the whole error, that
error is a single normal number, and the worst of three draws of it falls short too often: of 29
inputs under stress a correct evaluation was rejected in 7.5% of trials with 3, in 0.16% with 16."""

LEAST_DRAWS = 3
"""Runs at least, however many copies there are."""

ROW_SHARE = 0.25
"""Where no token's row holds more than this share of the squared error anywhere, no single number
carries it, and `LEAST_DRAWS` runs are enough."""

SAMPLE_ROWS = 64
"""Tokens on which an envelope is measured at least."""

LEAST_COPIES = 4
"""Copies of an input of up to `COPIED_TOKENS` tokens, the input itself included: under stress one
near-tie can carry the error of a stage alone, too."""

COPIED_TOKENS = 100

JITTER = 2.0**-12
"""Relative change of the copies of a short input: 4096 times float32's rounding, so that roundings
are drawn anew, and hardly a change to what any but a probe's softmax attends to. Numbers of 16 bits
cannot change by so little: there it is `LEAST_MOVE`."""

LEAST_MOVE = 2.0
"""Unit roundoffs by which copies move at least, so that a number moves to one of its neighbours."""


@dataclass(frozen=True)
class Sample:
    """An input together with copies of it, on which the envelope is measured.

    A single token gives one draw of the rounding errors that a whole row shares (of a LayerNorm's
    1 / sqrt, say), and the worst of five draws says little. Short inputs are therefore repeated,
    each copy with its activations moved by `JITTER`: the same stage, with its roundings drawn anew.

    Attributes:
        copies: how many, the input itself included.
        ids: `[copies * batch, sequence]`.
        given: activations by tap, repeated along their first axis.
    """

    copies: int
    ids: Array
    given: Mapping[str, Array]

    def original(self, trace: Mapping[str, Array]) -> Trace:
        """The part of a trace of this sample that belongs to the input itself."""
        batch = len(self.ids) // self.copies
        return {
            tap: array[:batch] if len(array) == len(self.ids) else array
            for tap, array in trace.items()
        }


def sample(
    ids: Array, given: Mapping[str, Array], seed: int, least_copies: int = LEAST_COPIES
) -> Sample:
    """Repeat an input until it has `SAMPLE_ROWS` tokens and, if short, `least_copies` copies."""
    least = least_copies if ids.size <= COPIED_TOKENS else 1
    copies = max(least, -(-SAMPLE_ROWS // ids.size))
    rng = np.random.default_rng([seed, ids.size])
    return Sample(
        copies=copies,
        ids=np.tile(ids, (copies, 1)),
        given={
            tap: _jittered(array, copies, rng) if len(array) == len(ids) else array
            for tap, array in given.items()
        },
    )


def _jittered(array: Array, copies: int, rng: np.random.Generator) -> Array:
    """The array, then copies with every element moved by a relative `JITTER`."""
    if copies == 1:
        return array
    return np.concatenate([array, moved(np.concatenate([array] * (copies - 1)), rng, JITTER)])


def moved(array: Array, rng: np.random.Generator, least: float = 0.0) -> Array:
    """The array with every element moved by a relative `least`, or by what its dtype can show."""
    size = max(least, LEAST_MOVE * unit_roundoff(array.dtype))
    result: Array = (array * (1 + size * rng.standard_normal(array.shape))).astype(array.dtype)
    return result


@dataclass(frozen=True)
class Stage:
    """How far legitimate evaluations of one stage stray, in isolation.

    Attributes:
        envelope: the worst over all evaluations.
        error: of the evaluation with the largest rms error, float64, as large as the stage's
            result; None where every evaluation is exact.
        found: the worst of each evaluation's copies.
        again: the worst of what was drawn again of each evaluation; nothing where nothing was.
    """

    envelope: Envelope = EXACT
    error: Array | None = None
    found: Sequence[Envelope] = ()
    again: Sequence[Envelope] = ()

    def without(self, index: int) -> Envelope:
        """The envelope that the other evaluations have."""
        others = [*self.found[:index], *self.found[index + 1 :]]
        if not any(envelope.rms for envelope in others):
            return EXACT
        return widest([*others, *self.again[:index], *self.again[index + 1 :]])


def isolated(
    sample: Sample,
    truth: Mapping[str, Array],
    evaluations: Sequence[Mapping[str, Array]],
    further: Mapping[str, Sequence[Sequence[Envelope]]] | None = None,
) -> dict[str, Stage]:
    """The worst error of each tap over forced traces of the same sample.

    Args:
        sample: what was evaluated.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision; elements that an evaluation
            left out are NaN and do not count.
        further: by tap, for each evaluation, extents drawn again (`verify.truth.redraws`).
    """
    further = further or {}
    return {
        tap: _stage(sample, array, [trace[tap] for trace in evaluations], further.get(tap, ()))
        for tap, array in truth.items()
    }


def _stage(
    sample: Sample,
    truth: Array,
    evaluations: Sequence[Array],
    further: Sequence[Sequence[Envelope]],
) -> Stage:
    errors = [result.astype(np.float64) - truth for result in evaluations]
    found = [widest(extents(error, sample)) for error in errors]
    worst = max(range(len(found)), key=lambda index: found[index].rms)
    if not found[worst].rms:
        return Stage()
    again = [widest(drawn) for drawn in further]
    return Stage(widest([*found, *again]), _filled(errors[worst]), found, again)


def _filled(error: Array) -> Array:
    """Rows that an evaluation left out take the errors of rows that it computed."""
    rows = error.reshape(-1, error.shape[-1])
    missing = np.isnan(rows).any(axis=1)
    if missing.any():
        rows[missing] = np.resize(rows[~missing], (int(missing.sum()), rows.shape[1]))
    return error


def free(
    oracle: Oracle | Decoder,
    sample: Sample,
    truth: Trace,
    stages: Mapping[str, Stage],
    seed: int,
    evaluations: Sequence[Trace] = (),
) -> dict[str, Envelope]:
    """The error that stages within their envelopes add up to at each tap of a free run.

    Args:
        oracle: the float64 model.
        sample: whose token ids are run; its activations are not used.
        truth: the oracle's free trace of the sample's ids.
        stages: the errors of each stage in isolation, on the same sample.
        seed: draws the signs.
        evaluations: free traces of the sample's ids in the candidate's precision, which are
            legitimate too and widen the envelope by what they really strayed.
    """
    strayed = {
        tap: [
            part
            for trace in evaluations
            for part in extents(trace[tap].astype(np.float64) - array, sample)
        ]
        for tap, array in truth.items()
    }
    drawn: dict[str, list[Envelope]] = {tap: [] for tap in truth}
    spread = True
    for draw in range(max(LEAST_DRAWS, -(-DRAWS // sample.copies))):
        if draw >= LEAST_DRAWS and spread:
            break
        noise = NoisyRecorder(stages, np.random.default_rng([seed, draw]))
        oracle.tap = noise
        oracle.language_model(sample.ids)
        for tap, found in noise.trace.items():
            error = found - truth[tap]
            copies = sample.copies if len(error) == len(sample.ids) else 1
            drawn[tap] += extents(error, sample)
            spread = spread and row_share(error, copies) <= ROW_SHARE
    return {tap: widest(strayed[tap] + drawn[tap]) for tap in truth}


def row_share(error: Array, copies: int = 1) -> float:
    """The largest share that one token's row has in the squared error of its copy.

    Rows that an evaluation left out do not count, nor does an array without rows of features.
    """
    if error.ndim < 3:
        return 0.0
    rows = (error**2).sum(axis=-1).reshape(copies, -1)
    rows = np.where(np.isfinite(rows), rows, 0.0)
    totals = rows.sum(axis=1, keepdims=True)
    return float(np.divide(rows, totals, out=np.zeros_like(rows), where=totals > 0).max())


class NoisyRecorder(Recorder):
    """Adds to each stage's result the error of a legitimate evaluation, each row with a sign drawn.

    Errors keep their size for each element, and what the elements of a row have in common.
    """

    def __init__(self, stages: Mapping[str, Stage], rng: np.random.Generator) -> None:
        super().__init__()
        self._stages = stages
        self._rng = rng

    def __call__(self, tap: str, value: Array) -> Array:
        """Record the value with its error, and go on with it."""
        error = self._stages[tap].error
        if error is not None:
            value = value + error * self._rng.choice([-1.0, 1.0], (*error.shape[:-1], 1))
        return super().__call__(tap, value)


def extents(error: Array, sample: Sample) -> list[Envelope]:
    """Rms and largest magnitude of each copy's finite elements; copies without any are left out."""
    copies = sample.copies if len(error) == len(sample.ids) else 1
    squares = error.reshape(copies, -1) ** 2
    counts, sums = np.full(copies, squares.shape[1]), squares.sum(axis=1)
    if not np.isfinite(sums).all():
        finite = np.isfinite(squares)
        squares = np.where(finite, squares, 0.0)
        counts, sums = finite.sum(axis=1), squares.sum(axis=1)
    peaks = squares.max(axis=1, initial=0.0)
    return [
        Envelope(float(np.sqrt(total / count)), float(np.sqrt(peak)))
        for total, count, peak in zip(sums, counts, peaks, strict=True)
        if count
    ]


def widest(envelopes: Sequence[Envelope]) -> Envelope:
    """The worst of each figure; exact where there is none."""
    return Envelope(
        max((envelope.rms for envelope in envelopes), default=0.0),
        max((envelope.max for envelope in envelopes), default=0.0),
    )
