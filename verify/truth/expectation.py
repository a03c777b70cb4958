"""All that the checks of one case compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reference.trace import INPUT
from verify.truth.alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.trace import Trace
    from verify.judge.acceptance import Envelope
    from verify.truth import envelope


@dataclass(frozen=True)
class Drawn:
    """What an envelope was measured on.

    Attributes:
        sample: the input, with its copies.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision.
    """

    sample: envelope.Sample
    truth: Trace
    evaluations: Sequence[Trace]


@dataclass(frozen=True)
class Expectation:
    """All that one case's checks need.

    Attributes:
        given: activations of PyTorch, by tap: what the stages are fed with.
        isolated: float64 truth of each stage, fed with `given`.
        torch_isolated, torch_free: PyTorch's traces in the candidate's precision.
        isolated_envelope: by tap.
        alarms: correct evaluations judged on the way, and how many the rule rejected.
        free: float64 truth of the free run; empty for a probe, which has none.
        free_envelope: by tap.
        drawn: what the envelopes were measured on; kept where faults are planted.
    """

    given: Trace
    isolated: Trace
    torch_isolated: Trace
    torch_free: Trace
    isolated_envelope: Mapping[str, Envelope]
    alarms: Alarms = field(default_factory=Alarms)
    free: Trace = field(default_factory=dict)
    free_envelope: Mapping[str, Envelope] = field(default_factory=dict)
    drawn: Drawn | None = None

    @property
    def free_taps(self) -> list[str]:
        """Taps worth comparing in a free run: outputs, and inputs that are computed on the way."""
        return [
            tap
            for tap in self.free
            if not tap.endswith(INPUT) or self.isolated_envelope[tap].rms > 0
        ]
