"""The worker's side of an arm: it warms up, takes turns, and times every call and every token."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.worker.counters import peak_rss_mib, read_counters, reset_peak_rss
from bench.workload.workload import Workload, prompt_ids

if TYPE_CHECKING:
    import argparse

    import numpy.typing as npt

    from bench.arms.base import Arm
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]
    Reply = dict[str, Any]

WARM_CALLS = 3
"""Calls of each workload before any is timed, the first one included."""

LONG_CALL_S = 2.0
"""After a second call as long as this there is no third: nothing more will become warm."""

PAUSED_CALLS = 7
"""Calls with a pause before them, and as many without."""


@dataclass(slots=True)
class Timings:
    """What one turn's calls took.

    Attributes:
        start_ns: monotonic clock at the first call.
        times_ns: of each call what the workload is about: all of it, or its decode steps.
        full_ns: of each call, from beginning to end.
        ttft_ns: of each call to the first new token; empty for forward passes.
        steps_ns: of each call the duration of every decode step; empty for forward passes.
    """

    start_ns: int = field(default_factory=time.monotonic_ns)
    times_ns: list[int] = field(default_factory=list)
    full_ns: list[int] = field(default_factory=list)
    ttft_ns: list[int] = field(default_factory=list)
    steps_ns: list[list[int]] = field(default_factory=list)

    def delay(self, share: float) -> None:
        """Make every call longer by a share of its time, and wait for as long as that is in all."""
        _wait_until(time.perf_counter_ns() + int(share * sum(self.full_ns)))
        self.times_ns = [round((1 + share) * time_ns) for time_ns in self.times_ns]
        self.full_ns = [round((1 + share) * time_ns) for time_ns in self.full_ns]


class ArmServer:
    """Answers the requests for an arm."""

    def __init__(self, arm: Arm, vocab_size: int, seed: int) -> None:
        self._arm, self._vocab_size, self._seed = arm, vocab_size, seed

    def answer(self, request: Reply) -> Reply:
        """Carry out one request."""
        workload = Workload(**request["workload"])
        match request["op"]:
            case "warm":
                return self.warm(workload)
            case "pause":
                return self.pause(workload, request["pause_s"])
            case "turn":
                return self.turn(workload, request)
            case other:
                raise ValueError(f"unknown request {other!r}")

    def warm(self, workload: Workload) -> Reply:
        """Call a workload a few times, on inputs that come in no block."""
        ids = prompt_ids(workload, self._vocab_size, self._seed + 1, 0)
        timings = Timings()
        result = self._call(workload, ids, timings)
        while len(timings.full_ns) < WARM_CALLS and timings.full_ns[-1] < LONG_CALL_S * 1e9:
            result = self._call(workload, ids, timings)
        later = timings.full_ns[1:] or timings.full_ns
        return {
            "first_call_s": timings.full_ns[0] / 1e9,
            "estimate_s": min(later) / 1e9,
            "host_copy_s": _copy_s(result),
        }

    def pause(self, workload: Workload, pause_s: float) -> Reply:
        """Median seconds of a call right after another, and after the caller was busy for a while.

        A runtime whose threads fall asleep in between must wake them: seen with MAX on two cores,
        where a call of 0.27 ms takes 0.45 ms after a pause of 0.3 ms.
        """
        ids = prompt_ids(workload, self._vocab_size, self._seed + 1, 0)
        tight, paused = Timings(), Timings()
        for _ in range(PAUSED_CALLS):
            self._call(workload, ids, Timings())
            self._call(workload, ids, tight)
            _wait_until(time.perf_counter_ns() + int(pause_s * 1e9))
            self._call(workload, ids, paused)
        found = {"tight_s": tight.full_ns, "paused_s": paused.full_ns}
        return {name: float(np.median(times)) / 1e9 for name, times in found.items()}

    def turn(self, workload: Workload, request: Reply) -> Reply:
        """Time `calls` calls on the inputs of `block`, and save what the last one returned.

        `delay`, where it is given, is a planted slowness (`python -m bench null` must find it):
        each call's time is longer by that share, which the turn really waits, but at its end. A
        wait between two calls would cost more than itself: threads fall asleep in it (`pause`), and
        a planted 5% of a call of half a millisecond came out as 11%.
        """
        ids = prompt_ids(workload, self._vocab_size, self._seed, request["block"])
        delay = request.get("delay", 0.0)
        reset_peak_rss()
        before, timings = read_counters(), Timings()
        for _ in range(request["calls"]):
            result = self._call(workload, ids, timings)
        if delay:
            timings.delay(delay)
        wall_s = (time.monotonic_ns() - timings.start_ns) / 1e9
        spent = read_counters().since(before)
        peak_mib = peak_rss_mib()
        np.save(request["output"], result)
        return {
            "start_ns": timings.start_ns,
            "times_ns": timings.times_ns,
            "ttft_ns": timings.ttft_ns,
            "steps_ns": timings.steps_ns,
            "switches": spent.switches,
            "psi_us": spent.psi_us,
            "steal_us": spent.steal_us,
            "waited_us": spent.waited_us,
            "taken_us": spent.taken_us,
            "wall_s": wall_s,
            "clean": spent.clean(wall_s),
            "peak_rss_mib": peak_mib,
            "peak_device_mib": self._arm.peak_device_mib(),
            "kv_bytes": self._arm.kv_bytes(workload) if workload.n_gen else None,
        }

    def _call(self, workload: Workload, ids: Array, timings: Timings) -> Array:
        """One call; its durations are added to `timings`."""
        stamps_ns: list[int] = []
        start_ns = time.perf_counter_ns()
        if workload.n_gen:
            result = self._arm.generate(
                ids, workload.n_new, lambda: stamps_ns.append(time.perf_counter_ns())
            )
        else:
            result = self._arm.forward(ids, workload.logits)
        end_ns = time.perf_counter_ns()
        timings.full_ns.append(end_ns - start_ns)
        if not workload.n_gen:
            timings.times_ns.append(end_ns - start_ns)
            return result
        if len(stamps_ns) != workload.n_new:
            raise RuntimeError(f"{len(stamps_ns)} tokens were announced, not {workload.n_new}")
        timings.ttft_ns.append(stamps_ns[0] - start_ns)
        timings.steps_ns.append(np.diff(stamps_ns).tolist())
        timings.times_ns.append(stamps_ns[-1] - stamps_ns[0])
        return result


def load_checkpoint(options: argparse.Namespace) -> Checkpoint:
    """The checkpoint that a worker was told to load."""
    from reference.load import load

    return load(options.model, revision=options.revision)


def _wait_until(deadline_ns: int) -> int:
    """Be busy until then, as a slower program would be."""
    while time.perf_counter_ns() < deadline_ns:
        pass
    return time.perf_counter_ns()


def _copy_s(result: Array) -> float:
    """How long it takes to copy a result into memory of the caller's own."""
    start_s = time.perf_counter()
    result.copy()
    return time.perf_counter() - start_s
