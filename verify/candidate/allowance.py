"""What a candidate's own rounded constants add to what is allowed in float64.

Measured, like every envelope: the graph is evaluated again with each of them moved by a unit in its
last place (`verify.candidate.neighbours`). Where it has none, nothing is added.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from verify.candidate.observation import Observable, Observation
from verify.judge.acceptance import Envelope
from verify.judge.metrics import rms
from verify.truth.envelope import widest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.trace import Trace
    from verify.truth.expectation import Expectation

DRAWS = 4
"""How often constants are moved, each to a side that is drawn."""


class Movable(Observable, Protocol):
    """A candidate whose graphs are evaluated."""

    def moved(self, seed: int) -> Observable | None:
        """The same with rounded constants moved; None where it has none."""


def with_rounded_constants(
    expected: Expectation, bound: Movable, observed: Observation
) -> Expectation:
    """The expectation with envelopes as wide as a candidate's rounded constants need.

    Args:
        expected: in float64.
        bound: the candidate, evaluated in float64.
        observed: what it computes on this case.
    """
    others = [other for seed in range(DRAWS) if (other := bound.moved(seed)) is not None]
    if not others:
        return expected
    seen = [Observation(other, expected) for other in others]
    alone = _strayed([one.forced for one in seen], observed.forced)
    widened = replace(expected, isolated_envelope=_added(expected.isolated_envelope, alone))
    if not expected.free:
        return widened
    free = _strayed([one.free for one in seen], observed.free)
    return replace(widened, free_envelope=_added(expected.free_envelope, free))


def _strayed(traces: Sequence[Trace], own: Trace) -> dict[str, Envelope]:
    """How far results move at each tap."""
    return {
        tap: widest([_extent(trace[tap].astype(float) - own[tap]) for trace in traces])
        for tap in own
    }


def _extent(error: np.ndarray) -> Envelope:
    return Envelope(rms(error), float(np.abs(error).max(initial=0.0)))


def _added(
    envelopes: Mapping[str, Envelope], further: Mapping[str, Envelope]
) -> dict[str, Envelope]:
    """Both together, at each tap that the candidate shows."""
    none = Envelope(0.0, 0.0)
    return {
        tap: Envelope(one.rms + further.get(tap, none).rms, one.max + further.get(tap, none).max)
        for tap, one in envelopes.items()
    }
