"""What the mathematics of any decoder of transformers is compared with: float64 against float64.

The oracle is transformers' own model, made in float64; other orders of its sums in float64, and
results that are rounded otherwise, are the envelope. Two probes feed stages what their own model
would not, whatever the architecture: all activations loud, so that scores outweigh a weak mask, and
all of them quiet, so that an epsilon counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.decoder import DRAWN, ORDERS, Decoder, in_float64
from verify.judge.metrics import rms
from verify.truth import envelope
from verify.truth.cases import PROBE_SIZE, Case
from verify.truth.envelope import Sample
from verify.truth.expectation import Expectation
from verify.truth.float64 import DTYPE, pooled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.trace import Array

LOUD = 1e3
"""What a loud probe's activations are multiplied by: scores, products of two of them, reach 1e6
times what they are, and lift keys that a mask lowers by 1e4 above others."""

QUIET_RMS = 3e-3
"""Of a quiet probe's activations: their mean square, 1e-5, is as large as a usual epsilon."""

PROBES = ("loud", "quiet")
"""Labels of the cases whose activations are changed."""


class DecoderMathematics:
    """A decoder of transformers in float64, and other orders of its sums.

    Args:
        model: of transformers, in float32.
    """

    def __init__(self, model: Any) -> None:
        self.oracle = in_float64(model)
        self.orders = [Decoder(self.oracle.model, order) for order in (*ORDERS, DRAWN)]

    def expectation(self, case: Case, given_taps: Sequence[str]) -> Expectation:
        """Everything that the case is compared with.

        Args:
            case: the input; one of `PROBES` has no free run.
            given_taps: where the candidate's stages are cut.
        """
        truth = self.oracle.trace(case.ids)
        given = {tap: probing(truth[tap], case.label) for tap in given_taps}
        sample = Sample(1, case.ids, given)
        isolated = self.oracle.trace(case.ids, given)
        evaluations = [order.trace(case.ids, given) for order in self.orders]
        stages = envelope.isolated(sample, isolated, evaluations)
        bounds = {tap: stage.envelope for tap, stage in stages.items()}
        expectation = Expectation(
            case=case,
            oracle=self.oracle,
            dtype=DTYPE,
            given=given,
            isolated=isolated,
            torch_isolated={},
            torch_free={},
            isolated_envelope=pooled(bounds, isolated),
        )
        if case.label in PROBES:
            return expectation
        runs = [order.trace(case.ids) for order in self.orders]
        bounds = envelope.free(self.oracle, sample, truth, stages, case.seed, runs)
        return replace(expectation, free=truth, free_envelope=pooled(bounds, truth))


def probing(array: Array, label: str) -> Array:
    """A given activation as a probe has it; unchanged for other cases.

    Args:
        array: float64.
        label: of the case.
    """
    size = rms(array)
    if label == "loud":
        return array * LOUD
    return array * (QUIET_RMS / size) if label == "quiet" and size else array


def decoder_cases(
    config: Any, sizes: Sequence[tuple[int, int]], seed: int, regime: str = "given"
) -> list[Case]:
    """Cases of random token ids.

    Args:
        config: of transformers.
        sizes: (batch, length) of each.
        seed: draws them.
        regime: the state of the weights.
    """
    return [
        Case(regime=regime, ids=_ids(config.vocab_size, *size, seed), seed=seed) for size in sizes
    ]


def _ids(vocabulary: int, batch: int, length: int, seed: int) -> Array:
    rng = np.random.default_rng([seed, batch, length])
    return rng.integers(0, vocabulary, (batch, length), dtype=np.int64)


def with_probes(
    config: Any, sizes: Sequence[tuple[int, int]], seed: int, regime: str = "given"
) -> list[Case]:
    """The cases, and each probe, which has tokens enough to show what a mutant does.

    Args:
        config: of transformers.
        sizes: (batch, length) of the cases.
        seed: draws token ids.
        regime: the state of the weights.
    """
    batch, length = PROBE_SIZE
    size = (batch, min(length, config.max_position_embeddings))
    (probe,) = decoder_cases(config, [size], seed, regime)
    return [
        *decoder_cases(config, sizes, seed, regime),
        *(replace(probe, label=label) for label in PROBES),
    ]
