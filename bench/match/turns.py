"""The turns of the contestants of one device, with the machine's ceilings measured in between."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.arms.specs import spec_of
from bench.match.schedule import block_at, calls_per_turn, quad_order, quads_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bench.match.ceiling_rates import Ceilings
    from bench.match.contestant import Contestant, Emit
    from bench.plan.plan import Plan
    from bench.worker.process import Worker
    from bench.workload.workload import Workload


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Attributes:
        text: what goes on.
        done: the share that is done, None while that is not known.
        left_s: about how long the competition goes on, None while that is not known.
    """

    text: str
    done: float | None = None
    left_s: float | None = None


if TYPE_CHECKING:
    Status = Callable[[Progress], None]


class Match:
    """The turns of one device's contestants.

    Args:
        plan: what to measure.
        contestants: who takes turns; those that are not alive are left out.
        referee: judges outputs.
        scratch: a folder for outputs on their way to the referee.
        emit: called with each record.
        status: called whenever something else begins.
        budget_s: of this competition.
        ceilings: measured once in every round, where given.
    """

    def __init__(
        self,
        plan: Plan,
        contestants: list[Contestant],
        referee: Worker,
        scratch: Path,
        emit: Emit,
        status: Status,
        *,
        budget_s: float,
        ceilings: Ceilings | None = None,
        first_quad: int = 0,
    ) -> None:
        self._plan, self._contestants = plan, contestants
        self._referee, self._scratch = referee, scratch
        self._emit, self._status = emit, status
        self._budget_s, self._ceilings = budget_s, ceilings
        self._first_quad = first_quad
        self._rng = np.random.default_rng([plan.seed, first_quad])

    def play(self) -> None:
        """Warm up, then play rounds until the blocks are done or the budget is used up."""
        calls = {workload: self._warm(workload) for workload in self._plan.workloads}
        for quad in self._quads(time.monotonic()):
            for workload in self._plan.workloads:
                self._play_quad(quad, workload, calls[workload])
            if self._ceilings:
                self._ceilings.measure(self._emit)

    def _quads(self, start_s: float) -> Iterator[int]:
        """Numbers of quads: as many as were asked for, or as probably fit into the budget."""
        wanted = quads_for(self._plan.blocks) if self._plan.blocks else None
        for count in itertools.count():
            used_s = time.monotonic() - start_s
            each_s = used_s / count if count else 0.0
            if wanted:
                done, left_s, over = count / wanted, each_s * (wanted - count), count >= wanted
            else:
                done, left_s = used_s / self._budget_s, self._budget_s - used_s
                over = count >= 1 and used_s + each_s > self._budget_s
            if over or not self._alive():
                return
            of = f" of {wanted}" if wanted else ""
            self._status(Progress(f"quad {count + 1}{of}", done, left_s if count else None))
            yield self._first_quad + count

    def _alive(self) -> list[Contestant]:
        return [contestant for contestant in self._contestants if contestant.alive]

    def _warm(self, workload: Workload) -> int:
        """Call the workload in every arm; return how often a turn shall call it."""
        estimates_s = []
        for contestant in self._alive():
            self._status(Progress(f"{contestant.label}: first calls of {workload.name}"))
            estimate_s = contestant.warm(workload, self._emit)
            estimates_s += [] if estimate_s is None else [estimate_s]
        return calls_per_turn(estimates_s)

    def _play_quad(self, quad: int, workload: Workload, calls: int) -> None:
        """Every arm takes two turns; the outputs are judged when all have been timed."""
        order = quad_order(self._alive(), self._rng)
        outputs = []
        for position, contestant in enumerate(order):
            block = block_at(quad, position, len(order) // 2)
            output = self._scratch / f"{position}.npy"
            place = {"quad": quad, "block": block, "position": position}
            if contestant.alive and self._turn(contestant, workload, place, calls, output):
                outputs.append((contestant, block, output))
        for contestant, block, output in outputs:
            self._judge(contestant, workload, block, output)

    def _turn(
        self,
        contestant: Contestant,
        workload: Workload,
        place: Mapping[str, int],
        calls: int,
        output: Path,
    ) -> bool:
        """Let one arm run, and record each call's time; False where it failed."""
        others = [c.worker for c in self._alive() if c is not contestant and c.worker]
        idle_s = sum(worker.cpu_s() for worker in others)
        reply = contestant.ask(
            {
                "op": "turn",
                "workload": workload.as_dict(),
                "block": place["block"],
                "calls": calls,
                "output": str(output),
                "delay": contestant.delay,
            }
        )
        if reply is None:
            contestant.emit_ready(self._emit)  # with the error that ended its part
            return False
        contestant.remember(workload, reply)
        held = {key: reply[key] for key in ("peak_rss_mib", "peak_device_mib", "kv_bytes")}
        self._emit({"record": "held", **contestant.place(workload), **held})
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
        counted = {key: reply[key] for key in ("start_ns", "clean", "psi_us", "switches",
                                               "steal_us", "wall_s")}  # fmt: skip
        for call, time_ns in enumerate(reply["times_ns"]):
            tokens = (
                {"ttft_ns": reply["ttft_ns"][call], "steps_ns": reply["steps_ns"][call]}
                if workload.n_gen
                else {}
            )
            where = {**contestant.place(workload), **context, "call": call}
            sample = {"record": "sample", **where, "time_ns": time_ns, **tokens, **counted}
            contestant.samples.setdefault(workload.name, []).append(sample)
            self._emit(sample)

    def _judge(self, contestant: Contestant, workload: Workload, block: int, output: Path) -> None:
        """Have the referee compare one turn's output, and remember the first that is wrong."""
        agreement = self._referee.ask(
            {
                "workload": workload.as_dict(),
                "block": block,
                "output": str(output),
                "dtype": spec_of(contestant.label).judged_as,
            }
        )
        self._emit({"record": "agreement", **contestant.place(workload), "block": block,
                    **agreement})  # fmt: skip
        name = workload.name
        contestant.judged[name] = contestant.judged.get(name, 0) + 1
        if not agreement["agreed"]:
            contestant.disagreements.setdefault(name, agreement["message"])
