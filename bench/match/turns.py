"""The turns of one generation of contestants, with the machine's ceilings measured in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.arms.specs import spec_of
from bench.arms.tf32 import judged_as
from bench.match.ledger import Ledger
from bench.match.schedule import block_at, calls_per_turn, quad_order
from bench.workload.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.match.ceiling_rates import Ceilings
    from bench.match.contestant import Contestant, Emit
    from bench.plan.plan import Plan
    from bench.worker.process import Worker

PAUSE_S = 0.001
"""Pause of the caller before a call whose cost is measured: many times what threads wait for."""
LONGEST_PAUSED_S = 0.05
"""Nobody notices in a longer call that threads had to wake."""


PROBE_BLOCK = 1 << 20
"""The inputs by which exactness is measured, of a number that no timed block has."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Attributes:
        text: what goes on.
        done: the share that is done, None while that is not known.
        left_s: about how long the run goes on, None while that is not known.
    """

    text: str
    done: float | None = None
    left_s: float | None = None


if TYPE_CHECKING:
    Status = Callable[[Progress], None]


@dataclass(slots=True)
class Match:
    """The turns of one device's contestants, in one generation.

    Attributes:
        plan: what to measure.
        contestants: who takes turns; those that are not alive are left out.
        referee: judges outputs.
        scratch: a folder for outputs on their way to the referee.
        emit: called with each record.
        status: called whenever something else begins.
        ledger: where the time goes.
        ceilings: measured once in each of the first rounds, where given.
        ceiling_rounds: how many rounds those are.
        generation: its number.
        first_quad: quads of the run that were played before.
        calls: of each workload in a turn; `warm_up` finds out how many.
        quads: played so far.
    """

    plan: Plan
    contestants: list[Contestant]
    referee: Worker
    scratch: Path
    emit: Emit
    status: Status = lambda _: None
    ledger: Ledger = field(default_factory=Ledger)
    ceilings: Ceilings | None = None
    ceiling_rounds: int = 0
    generation: int = 0
    first_quad: int = 0
    calls: dict[Workload, int] = field(default_factory=dict)
    quads: int = 0
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.plan.seed, self.generation, self.first_quad])

    def warm_up(self) -> None:
        """Call every workload in every arm before anything is timed."""
        for workload in self.plan.workloads:
            estimates = {}
            for contestant in self._alive():
                self.status(Progress(f"{contestant.label}: first calls of {workload.name}"))
                estimate_s = contestant.warm(workload, self.emit)
                if estimate_s is not None:
                    estimates[contestant.label] = estimate_s
            self.calls[workload] = calls_per_turn(estimates.values())
            for contestant in self._alive():
                if estimates.get(contestant.label, LONGEST_PAUSED_S) < LONGEST_PAUSED_S:
                    contestant.pause(workload, PAUSE_S, self.emit)

    def measure_exactness(self) -> None:
        """Find out of which dtype each arm's error is, where that is not known yet.

        A runtime may compute in another dtype than it was asked for. Of generated tokens that can
        hardly be told: they are the same until two logits lie close together.
        """
        probe = probe_of(self.plan.workloads)
        for contestant in self._alive():
            compiles = spec_of(contestant.label).fixed_shapes and probe not in self.plan.workloads
            if contestant.exactness is None and not compiles:
                self.status(Progress(f"{contestant.label}: how exact it computes"))
                self._measure_exactness(contestant, probe)

    def _measure_exactness(self, contestant: Contestant, probe: Workload) -> None:
        output = self.scratch / "probe.npy"
        asked = {"workload": probe.as_dict(), "block": PROBE_BLOCK}
        turn = {"op": "turn", **asked, "calls": 1, "output": str(output)}
        reply = contestant.ask(turn, self.emit)
        if reply is None:
            return
        items = [{"block": PROBE_BLOCK, "output": str(output)}]
        judged = self.referee.ask({"op": "exactness", **asked, "items": items})
        where = {**contestant.place(probe), "generation": self.generation}
        contestant.note(self.emit, {"record": "exactness", **where, **judged["exactness"][0]})

    def play(self, rounds: Iterable[int]) -> None:
        """Play one quad of each workload in every round."""
        for number in rounds:
            if not self._alive():
                return
            for workload in self.plan.workloads:
                self._play_quad(number, workload)
            self.quads += 1
            if self.ceilings and number < self.ceiling_rounds:
                with self.ledger.spend("ceilings"):
                    self.ceilings.measure(self.emit, self.generation)

    def _alive(self) -> list[Contestant]:
        return [contestant for contestant in self.contestants if contestant.alive]

    def _play_quad(self, number: int, workload: Workload) -> None:
        """Every arm takes two turns; the outputs are judged when all have been timed."""
        order = quad_order(self._alive(), self._rng)
        outputs = []
        with self.ledger.spend("timing"):
            for position, contestant in enumerate(order):
                if position == len(order) // 2:
                    self._read_beside(workload, self.first_quad + number)
                block = block_at(number, position, len(order) // 2)
                output = self.scratch / f"{position}.npy"
                place = {
                    "generation": self.generation, "quad": self.first_quad + number,
                    "block": block, "position": position,
                }  # fmt: skip
                if contestant.alive and self._turn(contestant, workload, place, output):
                    outputs.append((contestant, block, output))
        if outputs:
            with self.ledger.spend("judging"):
                self._judge(workload, outputs)

    def _read_beside(self, workload: Workload, quad: int) -> None:
        """In the middle of a quad of decoding, how fast weights can be read in these seconds."""
        if self.ceilings and workload.n_gen:
            with self.ledger.spend("ceilings"):
                self.ceilings.read_beside(self.emit, self.generation, quad)

    def _turn(
        self, contestant: Contestant, workload: Workload, place: Mapping[str, int], output: Path
    ) -> bool:
        """Let one arm run, and record each call's time; False where it failed."""
        others = [c.worker for c in self._alive() if c is not contestant and c.worker]
        idle_s = sum(worker.cpu_s() for worker in others)
        request = {
            "op": "turn",
            "workload": workload.as_dict(),
            "block": place["block"],
            "calls": self.calls[workload],
            "output": str(output),
            "delay": contestant.delay,
        }
        reply = contestant.ask(request, self.emit)
        if reply is None:
            return False
        others_cpu_s = sum(worker.cpu_s() for worker in others) - idle_s
        self._record(contestant, workload, {**place, "others_cpu_s": others_cpu_s}, reply)
        return True

    def _record(
        self,
        contestant: Contestant,
        workload: Workload,
        context: Mapping[str, Any],
        reply: Mapping[str, Any],
    ) -> None:
        counted = {key: reply[key] for key in (
            "start_ns", "clean", "psi_us", "switches", "steal_us", "waited_us", "taken_us",
            "wall_s", "peak_rss_mib", "peak_device_mib", "kv_bytes",
        )}  # fmt: skip
        for call, time_ns in enumerate(reply["times_ns"]):
            tokens = (
                {"ttft_ns": reply["ttft_ns"][call], "steps_ns": reply["steps_ns"][call]}
                if workload.n_gen
                else {}
            )
            where = {**contestant.place(workload), **context, "call": call}
            sample = {"record": "sample", **where, "time_ns": time_ns, **tokens, **counted}
            contestant.note(self.emit, sample)

    def _judge(self, workload: Workload, outputs: list[tuple[Contestant, int, Path]]) -> None:
        """Have the referee compare the outputs of a quad."""
        items = [
            {
                "block": block,
                "output": str(path),
                "dtype": judged_as(contestant.label, contestant.device),
            }
            for contestant, block, path in outputs
        ]
        reply = self.referee.ask({"op": "judge", "workload": workload.as_dict(), "items": items})
        for (contestant, block, _), agreement in zip(outputs, reply["agreements"], strict=True):
            where = {"generation": self.generation, "block": block}
            contestant.note(
                self.emit,
                {"record": "agreement", **contestant.place(workload), **where, **agreement},
            )


def probe_of(workloads: Sequence[Workload]) -> Workload:
    """A forward pass that is asked for anyway, the shortest; else one as long as a generation."""
    passes = [workload for workload in workloads if not workload.n_gen]
    if passes:
        return min(passes, key=lambda one: one.length)
    shortest = min(workloads, key=lambda one: one.length)
    return Workload(batch=shortest.batch, n_prompt=shortest.length)
