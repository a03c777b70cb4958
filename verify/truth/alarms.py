"""False alarms: correct evaluations, each judged by the envelope of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verify.judge.acceptance import judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.trace import Array
    from verify.truth.envelope import Sample, Stage


@dataclass(frozen=True, slots=True)
class Alarms:
    """How many correct results were judged, and how many of them the rule rejected."""

    runs: int = 0
    false: int = 0

    def __add__(self, other: Alarms) -> Alarms:
        return Alarms(self.runs + other.runs, self.false + other.false)


def correct_results(
    sample: Sample,
    truth: Mapping[str, Array],
    evaluations: Sequence[Mapping[str, Array]],
    stages: Mapping[str, Stage],
    dtype: str,
) -> Alarms:
    """Judge each evaluation by the envelope of the others: a correct order that it has not seen.

    It is judged on the input itself, as a candidate is. Copies only widen envelopes: what nearly
    ties in a copy, moved by `verify.truth.envelope.JITTER`, is not a tie of the input, and near it
    nothing is drawn again.

    Args:
        sample: what was evaluated.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision; those with results left out
            are not judged, only made use of.
        stages: by tap, what the evaluations' errors are.
        dtype: the precision.
    """
    alarms, right = Alarms(), sample.original(truth)
    computed = [tap for tap, stage in stages.items() if stage.found]
    for index, trace in enumerate(evaluations):
        found = sample.original(trace)
        for tap in computed:
            envelope = stages[tap].without(index)
            if envelope.rms and np.isfinite(found[tap]).all():
                verdict = judge(found[tap], right[tap], envelope, dtype).verdict
                alarms += Alarms(1, int(verdict != "PASS"))
    return alarms
