"""All that the checks of one case compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference.taps import LOGITS, OUTPUT, is_input
from verify.truth.alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.trace import Array, Trace
    from verify.judge.acceptance import Envelope
    from verify.truth import envelope
    from verify.truth.cases import Case


@dataclass(frozen=True)
class EnvelopeSample:
    """What an envelope was measured on.

    Attributes:
        sample: the input, with its copies.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision.
    """

    sample: envelope.Sample
    truth: Trace
    evaluations: Sequence[Trace]


@dataclass(frozen=True, slots=True)
class Standard:
    """What one array is compared with.

    Attributes:
        truth: in float64.
        torch: PyTorch's result in the candidate's precision; None where it takes no part.
        envelope: how far correct evaluations stray from the truth.
    """

    truth: Array
    torch: Array | None
    envelope: Envelope


@dataclass(frozen=True)
class Expectation:
    """All that one case's checks need.

    Attributes:
        case: the input.
        oracle: the float64 model: `reference.oracle.Oracle`, or another decoder's.
        dtype: the candidate's precision.
        products: what products may compute in where that is coarser: `tf32`, or `bfloat16`.
        given: activations of PyTorch, by tap: what the stages are fed with.
        isolated: float64 truth of each stage, fed with `given`.
        torch_isolated, torch_free: PyTorch's traces in the candidate's precision; empty where it
            takes no part.
        isolated_envelope: by tap.
        alarms: correct evaluations judged on the way, and how many the rule rejected.
        free: float64 truth of the free run; empty for a probe, which has none.
        free_envelope: by tap.
        drawn: what the envelopes were measured on; kept where faults are planted.
    """

    case: Case
    oracle: Any
    dtype: str
    given: Trace
    isolated: Trace
    torch_isolated: Trace
    torch_free: Trace
    isolated_envelope: Mapping[str, Envelope]
    alarms: Alarms = field(default_factory=Alarms)
    free: Trace = field(default_factory=dict)
    free_envelope: Mapping[str, Envelope] = field(default_factory=dict)
    drawn: EnvelopeSample | None = None
    products: str = ""

    @property
    def arithmetic(self) -> str:
        """What products compute in: `tf32` or `bfloat16`, else the precision."""
        return self.products or self.dtype

    def at(self, tap: str, *, alone: bool) -> Standard:
        """What a result at `tap` is compared with, alone or in a free run."""
        if alone:
            truth, torch, bounds = self.isolated, self.torch_isolated, self.isolated_envelope
        else:
            truth, torch, bounds = self.free, self.torch_free, self.free_envelope
        return Standard(truth[tap], torch.get(tap), bounds[tap])

    @property
    def head(self) -> str:
        """The tap of what the model returns."""
        return OUTPUT if OUTPUT in self.free else LOGITS

    @property
    def correct(self) -> Trace:
        """A correct result of each stage alone: PyTorch's, or the truth where it takes no part."""
        return self.torch_isolated or self.isolated

    @property
    def free_taps(self) -> list[str]:
        """Taps worth comparing in a free run: outputs, and inputs that are computed on the way."""
        return [
            tap for tap in self.free if not is_input(tap) or self.isolated_envelope[tap].rms > 0
        ]
