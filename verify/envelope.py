"""The envelope: how far legitimate evaluations stray from the truth, measured for each input.

In isolation, every evaluation order computes each stage on the same given activations, and its
error is compared with float64 directly. Running free, errors of one stage travel through all later
ones; there the oracle itself is run with each stage's isolated errors added on the way, signs drawn
at random, so that what is allowed at a tap is what correct stages before it can add up to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.trace import Recorder
from verify.rule import EXACT, Envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.oracle import Oracle
    from reference.trace import Array, Trace

DRAWS = 3
"""Runs of the oracle with errors added; their worst deviation is the envelope of a free run."""

SAMPLE_ROWS = 64
"""Tokens on which an envelope is measured at least."""

JITTER = 2.0**-12
"""Relative change of the copies of a short input: 4096 times float32's rounding, so that roundings
are drawn anew, yet too small to change what a saturated softmax attends to."""


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


def sample(ids: Array, given: Mapping[str, Array], seed: int) -> Sample:
    """Repeat an input until it has at least `SAMPLE_ROWS` tokens."""
    copies = max(1, -(-SAMPLE_ROWS // ids.size))
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
    repeated = np.concatenate([array] * copies)
    moved = repeated[len(array) :]
    moved *= (1 + JITTER * rng.standard_normal(moved.shape)).astype(array.dtype)
    return repeated


@dataclass(frozen=True)
class Stage:
    """How far legitimate evaluations of one stage stray, in isolation.

    Attributes:
        envelope: the worst over all evaluations.
        error: of the evaluation with the largest rms error, float64, as large as the stage's
            result; None where every evaluation is exact.
    """

    envelope: Envelope = EXACT
    error: Array | None = None


def isolated(
    sample: Sample, truth: Mapping[str, Array], evaluations: Sequence[Mapping[str, Array]]
) -> dict[str, Stage]:
    """The worst error of each tap over forced traces of the same sample.

    Args:
        sample: what was evaluated.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision; elements that an evaluation
            left out are NaN and do not count.
    """
    return {tap: _stage(sample, tap, array, evaluations) for tap, array in truth.items()}


def _stage(
    sample: Sample, tap: str, truth: Array, evaluations: Sequence[Mapping[str, Array]]
) -> Stage:
    found = [trace[tap].astype(np.float64) - truth for trace in evaluations]
    envelopes = [_extent(error, sample) for error in found]
    worst = max(range(len(found)), key=lambda index: envelopes[index].rms)
    if not envelopes[worst].rms:
        return Stage()
    widest = Envelope(envelopes[worst].rms, max(envelope.max for envelope in envelopes))
    return Stage(widest, _filled(found[worst]))


def _filled(error: Array) -> Array:
    """Rows that an evaluation left out take the errors of rows that it computed."""
    rows = error.reshape(-1, error.shape[-1])
    missing = np.isnan(rows).any(axis=1)
    if missing.any():
        rows[missing] = np.resize(rows[~missing], (int(missing.sum()), rows.shape[1]))
    return error


def free(
    oracle: Oracle, sample: Sample, truth: Trace, stages: Mapping[str, Stage], seed: int
) -> dict[str, Envelope]:
    """The error that stages within their envelopes add up to at each tap of a free run.

    Args:
        oracle: the float64 model.
        sample: whose token ids are run; its activations are not used.
        truth: the oracle's free trace of the sample's ids.
        stages: the errors of each stage in isolation, on the same sample.
        seed: draws the signs.
    """
    worst = dict.fromkeys(truth, EXACT)
    for draw in range(DRAWS):
        noise = NoisyRecorder(stages, np.random.default_rng([seed, draw]))
        oracle.tap = noise
        oracle.language_model(sample.ids)
        for tap, found in noise.trace.items():
            worst[tap] = _wider(worst[tap], _extent(found - truth[tap], sample))
    return worst


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


def _extent(error: Array, sample: Sample) -> Envelope:
    """Rms of the worst copy, and the largest magnitude of all, over the finite elements."""
    copies = sample.copies if len(error) == len(sample.ids) else 1
    squares = error.reshape(copies, -1) ** 2
    finite = np.isfinite(squares)
    if finite.all():
        return Envelope(float(np.sqrt(squares.mean(axis=1).max())), float(np.sqrt(squares.max())))
    counts = finite.sum(axis=1)
    totals = np.where(finite, squares, 0.0)
    means = totals.sum(axis=1)[counts > 0] / counts[counts > 0]
    return Envelope(float(np.sqrt(means.max(initial=0.0))), float(np.sqrt(totals.max())))


def _wider(a: Envelope, b: Envelope) -> Envelope:
    return Envelope(max(a.rms, b.rms), max(a.max, b.max))
