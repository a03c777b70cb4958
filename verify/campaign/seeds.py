"""One seed of a campaign judged: a unit of work, whose record depends on no other seed.

A process keeps the model that it has compiled, and what the regimes need that no seed changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from max.dtype import DType
from threadpoolctl import threadpool_limits

from impl.compiling import announced_to
from impl.runtime import build, open_device
from reference.dtypes import rounded
from reference.load import load
from reference.regimes import with_regime
from reports.waiting import Waiting, print_line
from verify.campaign.tally import Tally, draw
from verify.candidate.model_graphs import trace_model
from verify.candidate.observation import Observation
from verify.checks.stages import check_case
from verify.faults.power import Power
from verify.pairing.prepare import prepare, subject_of
from verify.pairing.translated import PairedCandidate, held_weights
from verify.truth.cases import PROBE_SIZE, plants_faults, probe_case, random_cases
from verify.truth.float64 import Mathematics
from verify.truth.references import References

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reference.checkpoint import Checkpoint
    from verify.campaign.tally import Draw
    from verify.candidate.model_graphs import BoundCandidate, Candidate
    from verify.truth.cases import Case

    State = tuple[BoundCandidate, References | Mathematics]

LOOK_EVERY = 10
"""Planting every fault costs as much as several cases."""

DRAWN_ANEW = ("init", "perturbed")
"""Regimes whose weights depend on the seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is judged; the attributes are the options of `python -m verify campaign`."""

    model: str = "tiny"
    device: str = "cpu"
    dtype: str = "float32"
    quick: bool = False
    candidate: str | None = None
    output: str = "logits"
    padded_vocab: bool = False


def judge_seed(*, seed: int, weights_sha256: str, **setting: Any) -> Iterator[dict[str, Any]]:
    """Judge one seed; yields its record, the seed's tally.

    Args:
        seed: draws the state of the weights, the shape and the token ids.
        weights_sha256: of the checkpoint as the driver has it.
        setting: what is judged, as a `Setting`.

    Raises:
        ValueError: where the checkpoint is another one here.
    """
    campaign = prepared(Setting(**setting))
    if campaign.checkpoint.sha256 != weights_sha256:
        raise ValueError(f"{setting['model']} has other weights on this machine")
    with threadpool_limits(1 if campaign.quick else None, "blas"):
        drawn = draw(campaign.checkpoint.config, seed)
        yield campaign.judged(drawn).record(drawn)


@cache
def prepared(setting: Setting) -> Campaign:
    """What judges seeds, ready to do so; made once in a process.

    Raises:
        CheckpointError, DeviceError, WeightsError, GraphError, ValueError: where there is no such
            model, or it cannot be traced.
    """
    checkpoint = load(setting.model)
    device, dtype = open_device(setting.device), DType[setting.dtype]
    candidate: Candidate | PairedCandidate
    if setting.candidate:
        subject = subject_of(
            setting.candidate, None, setting.output, checkpoint.config.n_layer,
            padded_vocab=setting.padded_vocab,
        )  # fmt: skip
        candidate = prepare(subject, checkpoint, setting.device, dtype)
    else:
        candidate = trace_model(build(checkpoint.config, device, dtype), device)
    if not setting.quick:
        with announced_to(Waiting(print_line)):
            candidate.compile()
    return Campaign(checkpoint, candidate, setting.device, setting.dtype, quick=setting.quick)


class Campaign:
    """A correct model, compiled once, on many states of the weights.

    Args:
        checkpoint: configuration and weights, as given.
        candidate: the compiled model.
        device: the name of the device where it runs.
        dtype: what it computes in.
        quick: judge the traced graph in float64; nothing is compiled.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        candidate: Candidate | PairedCandidate,
        device: str,
        dtype: str = "float32",
        *,
        quick: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.dtype = dtype
        self.quick = quick
        self._device = device
        self._candidate = candidate
        self._kept: dict[str, State] = {}
        self._weak: dict[str, frozenset[str]] = {}

    def judged(self, drawn: Draw) -> Tally:
        """What one seed shows. Every tenth plants all faults as well."""
        tally = Tally()
        state = self._state(drawn.regime, drawn.seed)
        cases = self._cases(drawn.regime, (drawn.batch, drawn.length), drawn.seed)
        look = drawn.seed % LOOK_EVERY == 0
        for case in cases if look else cases[:1]:
            self._judge(tally, drawn, case, state, look=look)
        return tally

    def _cases(self, regime: str, shape: tuple[int, int], seed: int) -> list[Case]:
        """A random case, and the probe."""
        config, device = self.checkpoint.config, self._device
        cases = random_cases(config, regime, [shape], seed=seed, device=device)
        return [*cases, probe_case(config, regime, seed=seed, device=device)]

    def _judge(
        self, tally: Tally, drawn: Draw, case: Case, state: State, *, look: bool
    ) -> None:  # fmt: skip
        bound, references = state
        expected = references.expectation(case, bound.program.given_taps)
        observed = Observation(bound, expected)
        for check in check_case(observed, expected):
            tally.add(drawn, check)
        tally.power.alarms += expected.alarms
        if not plants_faults(case):
            return
        if look:
            tally.power.look(expected, self._candidate.forced_taps)
        if expected.drawn is not None:
            weak = self._weak_faults(drawn.regime)
            for check in tally.power.judged_by_filters(observed, expected, weak):
                tally.add(drawn, check)

    def _weak_faults(self, regime: str) -> Collection[str]:
        """Faults that only filters catch in a regime, as its first seed shows them."""
        if regime not in self._weak:
            power = Power()
            bound, references = self._state(regime, 0)
            for case in self._cases(regime, PROBE_SIZE, 0):
                expected = references.expectation(case, bound.program.given_taps)
                power.look(expected, self._candidate.forced_taps)
            self._weak[regime] = power.weak(regime)
        return self._weak[regime]

    def _state(self, regime: str, seed: int) -> State:
        """The candidate and what it is compared with, on the weights that the seed drew."""
        if regime in self._kept:
            return self._kept[regime]
        checkpoint = with_regime(self.checkpoint, regime, seed=seed)
        state: State
        if self.quick:
            mathematics = Mathematics(rounded(checkpoint, self.dtype))
            weights = held_weights(self._candidate, mathematics.checkpoint, self.dtype)
            state = self._candidate.evaluated(weights), mathematics
        else:
            references = References(checkpoint, self.dtype)
            weights = held_weights(self._candidate, references.checkpoint, self.dtype)
            state = self._candidate.bind(weights), references
        if regime not in DRAWN_ANEW:
            self._kept[regime] = state
        return state
