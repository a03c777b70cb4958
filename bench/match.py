"""The turns of one device's contestants."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import numpy as np

from bench.schedule import block_at, calls_per_turn, quad_order, quads_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bench.contestant import Contestant, Emit
    from bench.plan import Plan
    from bench.process import Worker
    from bench.workloads import Workload

    Status = Callable[[str, float | None], None]


class Match:
    """The turns of one device's contestants."""

    def __init__(
        self,
        plan: Plan,
        contestants: list[Contestant],
        referee: Worker,
        scratch: Path,
        emit: Emit,
        status: Status,
    ) -> None:
        self._plan, self._contestants = plan, contestants
        self._referee, self._scratch = referee, scratch
        self._emit, self._status = emit, status
        self._rng = np.random.default_rng(plan.seed)

    def play(self) -> None:
        """Warm up, then play quads until the blocks are done or the budget is used up."""
        calls = {workload: self._warm(workload) for workload in self._plan.workloads}
        start_s = time.monotonic()
        for quad in self._quads(start_s):
            for workload in self._plan.workloads:
                self._play_quad(quad, workload, calls[workload])

    def _quads(self, start_s: float) -> Iterator[int]:
        """Numbers of quads: as many as were asked for, or as probably fit into the budget."""
        budget_s = self._plan.budget_s / len(self._plan.devices)
        wanted = quads_for(self._plan.blocks) if self._plan.blocks else None
        for quad in itertools.count():
            used_s = time.monotonic() - start_s
            done = quad / wanted if wanted else used_s / budget_s
            self._status(f"quad {quad + 1}" + (f" of {wanted}" if wanted else ""), done)
            next_s = used_s / quad if quad else 0.0
            over = quad >= wanted if wanted else quad > 0 and used_s + next_s > budget_s
            if over or not self._alive():
                return
            yield quad

    def _alive(self) -> list[Contestant]:
        return [contestant for contestant in self._contestants if contestant.alive]

    def _warm(self, workload: Workload) -> int:
        """Call the workload in every arm; return how often a turn shall call it."""
        estimates_s = []
        for contestant in self._alive():
            self._status(f"{contestant.label}: first calls of {workload.name}", None)
            reply = contestant.ask({"op": "warm", "workload": workload.as_dict()})
            if reply:
                estimates_s.append(reply["estimate_s"])
                contestant.first_call_s[workload.name] = reply["first_call_s"]
                contestant.emit_phase(
                    self._emit, "first_call", workload.name, reply["first_call_s"]
                )
        return calls_per_turn(estimates_s)

    def _play_quad(self, quad: int, workload: Workload, calls: int) -> None:
        """Every arm takes two turns; the outputs are judged when all have been timed."""
        order = quad_order(self._alive(), self._rng)
        outputs = []
        for position, contestant in enumerate(order):
            block = block_at(quad, position, len(order) // 2)
            output = self._scratch / f"{position}.npy"
            place = {"block": block, "quad": quad, "position": position}
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
            }
        )
        if reply is None:
            return False
        contestant.peak_rss_mib = reply["peak_rss_mib"]
        context = {
            "workload": workload.name,
            "arm": contestant.label,
            "device": contestant.device,
            **place,
            "nonvoluntary_switches": reply["nonvoluntary_switches"],
            "cpu_pressure_us": reply["cpu_pressure_us"],
            "others_cpu_s": sum(worker.cpu_s() for worker in others) - idle_s,
        }
        for call, time_ns in enumerate(reply["times_ns"]):
            sample = {"record": "sample", **context, "call": call, "time_ns": time_ns}
            contestant.samples.setdefault(workload.name, []).append(sample)
            self._emit(sample)
        return True

    def _judge(self, contestant: Contestant, workload: Workload, block: int, output: Path) -> None:
        """Have the referee compare one turn's output, and remember the first that is wrong."""
        request = {"workload": workload.as_dict(), "block": block, "output": str(output)}
        agreement = self._referee.ask(request)
        name = workload.name
        place = {"workload": name, "arm": contestant.label, "device": contestant.device}
        self._emit({"record": "agreement", **place, "block": block, **agreement})
        contestant.judged[name] = contestant.judged.get(name, 0) + 1
        if not agreement["agreed"]:
            contestant.disagreements.setdefault(name, agreement["message"])
