"""The envelope: how far legitimate evaluations stray from the truth, measured for each input.

In isolation, every evaluation order computes each stage on the same given activations, and its
error is compared with float64 directly. Running free, errors of one stage travel through all later
ones; there the oracle itself is run with noise of each stage's envelope added at each stage, so that
what is allowed at a tap is what correct stages before it can add up to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.trace import Recorder
from verify.rule import EXACT, Envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference.oracle import Oracle
    from reference.trace import Array

NOISE_DRAWS = 3
"""Runs of the oracle with noise; their worst error is the envelope of a free run."""

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


def sample(ids: Array, given: Mapping[str, Array], seed: int) -> Sample:
    """Repeat an input until it has at least `SAMPLE_ROWS` tokens."""
    copies = max(1, -(-SAMPLE_ROWS // ids.size))
    rng = np.random.default_rng([seed, ids.size])
    return Sample(
        copies=copies,
        ids=np.tile(ids, (copies, 1)),
        given={tap: _jittered(array, copies, rng) for tap, array in given.items()},
    )


def _jittered(array: Array, copies: int, rng: np.random.Generator) -> Array:
    """The array, then copies with every element moved by a relative `JITTER`."""
    if copies == 1:
        return array
    repeated = np.concatenate([array] * copies)
    moved = repeated[len(array) :]
    moved *= (1 + JITTER * rng.standard_normal(moved.shape)).astype(array.dtype)
    return repeated


def isolated(
    sample: Sample, truth: Mapping[str, Array], evaluations: Iterable[Mapping[str, Array]]
) -> dict[str, Envelope]:
    """The worst error of each tap over forced traces of the same sample.

    Args:
        sample: what was evaluated.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision; elements that an evaluation
            left out are NaN and do not count.
    """
    worst = dict.fromkeys(truth, EXACT)
    for trace in evaluations:
        for tap in worst.keys() & trace.keys():
            worst[tap] = _wider(worst[tap], _distance(trace[tap], truth[tap], sample))
    return worst


def free(
    oracle: Oracle, sample: Sample, stages: Mapping[str, Envelope], seed: int
) -> dict[str, Envelope]:
    """The error that stages within their envelopes add up to at each tap of a free run.

    Args:
        oracle: the float64 model.
        sample: whose token ids are run; its activations are not used.
        stages: the envelope of each stage in isolation.
        seed: draws the noise.
    """
    truth = oracle.trace(sample.ids)
    worst = dict.fromkeys(truth, EXACT)
    for draw in range(NOISE_DRAWS):
        noise = NoisyRecorder(stages, np.random.default_rng([seed, draw]))
        oracle.tap = noise
        oracle.language_model(sample.ids)
        for tap, found in noise.trace.items():
            worst[tap] = _wider(worst[tap], _distance(found, truth[tap], sample))
    return worst


class NoisyRecorder(Recorder):
    """Adds Gaussian noise of each stage's rms envelope to what the stage computed."""

    def __init__(self, stages: Mapping[str, Envelope], rng: np.random.Generator) -> None:
        super().__init__()
        self._stages = stages
        self._rng = rng

    def __call__(self, tap: str, value: Array) -> Array:
        """Record the value with its noise, and go on with it."""
        scale = self._stages[tap].rms
        if scale:
            value = value + scale * self._rng.standard_normal(value.shape)
        return super().__call__(tap, value)


def _distance(found: Array, truth: Array, sample: Sample) -> Envelope:
    """Rms difference of the worst copy, and the largest difference of all, where both are finite."""
    squares = (found.astype(np.float64) - truth) ** 2
    copies = sample.copies if len(squares) == len(sample.ids) else 1
    squares = squares.reshape(copies, -1)
    finite = np.isfinite(squares)
    counts = finite.sum(axis=1)
    totals = np.where(finite, squares, 0.0)
    if not counts.all():
        return EXACT
    return Envelope(
        float(np.sqrt((totals.sum(axis=1) / counts).max())), float(np.sqrt(totals.max()))
    )


def _wider(a: Envelope, b: Envelope) -> Envelope:
    return Envelope(max(a.rms, b.rms), max(a.max, b.max))
