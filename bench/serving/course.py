"""The course of a run: servers started and stopped in turns, each under every load, all recorded.

    for each generation, for each server in a drawn order:
        start it, and time its first token
        ask one prompt after the other
        put every load on it, upwards, then downwards
        stop it

One server runs at a time, so that none can take from another, and each start is one draw of what
processes differ by.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.asking.caller import Caller, CallerError
from bench.serving.known import Known, compare_with_alone
from bench.serving.load_plan import ROUNDS, rates_of
from bench.serving.server_arms import SERVERS, ServerError, Started, server_of, why_not
from bench.serving.windows import level_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.asking.level import Level
    from bench.serving.load_plan import LoadPlan

    Record = dict[str, Any]

WARM_REQUESTS = 8
"""Asked one after the other before any load: the first of them are warm-up, all tell warm TTFT."""


@dataclass(slots=True)
class Course:
    """What a run has at hand.

    Attributes:
        plan: what is measured.
        known: the right answers; its `greedy` is empty where the checkpoint is not known.
        emit: takes records.
        say: takes a line for the terminal.
        logs: a folder for what servers and clients say.
    """

    plan: LoadPlan
    known: Known
    emit: Callable[[Record], None]
    say: Callable[[str], None]
    logs: Path
    _rates: dict[str, list[float]]

    @classmethod
    def of(
        cls, plan: LoadPlan, known: Known, emit: Callable[[Record], None],
        say: Callable[[str], None], logs: Path,
    ) -> Course:  # fmt: skip
        """A course that begins."""
        return cls(plan, known, emit, say, logs, {})

    def run(self) -> None:
        """Measure everything."""
        if self.plan.url:
            self._given()
            return
        skipped = {arm: why for arm in self.plan.arms if (why := why_not(arm))}
        for arm, why in skipped.items():
            place = self.plan.place(arm, SERVERS[arm].dtype)
            self.emit({"record": "start", **place, "generation": 0, "skipped": why, "error": ""})
        if self.plan.cold:
            for arm in self.plan.arms:
                if arm not in skipped:
                    self._cold(arm)
        for generation in range(self.plan.processes):
            for arm in self.plan.order(generation):
                if arm not in skipped:
                    self._process(arm, generation)

    def _given(self) -> None:
        """The server that is there already."""
        arm = self.plan.arms[0]
        place = self.plan.place(arm, "as served")
        plan = self.plan
        with self._caller(plan.url, plan.served, not plan.text, plan.options, arm) as caller:
            self._under_load(caller, place, arm, 0, plan.judged_as)

    def _cold(self, arm: str) -> None:
        """One start with empty caches, up to the first token."""
        with tempfile.TemporaryDirectory(prefix="bench-serve-cold-") as folder:
            self._start(arm, -1, cold=Path(folder), load=False)

    def _process(self, arm: str, generation: int) -> None:
        self._start(arm, generation, cold=None, load=True)

    def _start(self, arm: str, generation: int, *, cold: Path | None, load: bool) -> None:
        plan, spec = self.plan, SERVERS[arm]
        place = {**plan.place(arm, spec.dtype), "generation": generation}
        name = f"{arm}-{'cold' if cold else generation}"
        started = server_of(arm, plan.model, plan.threads, plan.server_cpus,
                            self.logs / f"{name}-server.log", cold=cold)  # fmt: skip
        self.say(f"{arm}: {'a cold start' if cold else f'process {generation + 1}'}")
        with ExitStack() as stack:
            caller = stack.enter_context(
                self._caller(started.url, started.model, spec.takes_ids, spec.options, name)
            )
            begin_ns = time.perf_counter_ns()
            try:
                stack.enter_context(started.server)
            except ServerError as error:
                told = {"cache": "cold" if cold else "usual", "skipped": "", "error": str(error)}
                self.emit({"record": "start", **place, **told})
                return
            first = caller.alone([0])
            self._started(place, started, begin_ns, first, caller, cold=cold)
            if load:
                self._under_load(caller, place, arm, generation, spec.judged_as, started)

    def _started(
        self, place: Record, started: Started, begin_ns: int, first: list[Record], caller: Caller,
        *, cold: Path | None,
    ) -> None:  # fmt: skip
        """How long it took to the first token, and what a token takes afterwards."""
        warm = caller.alone(range(1, 1 + min(WARM_REQUESTS, len(self.known.prompts) - 1)))
        times = sorted(
            (one["arrived_ns"][0] - one["sent_ns"]) / 1e6 for one in warm if one["arrived_ns"]
        )
        arrived, error = first[0]["arrived_ns"], first[0]["error"]
        self.emit({
            "record": "start", **place, "cache": "cold" if cold else "usual",
            "ready_s": started.server.ready_after_s,
            "first_token_s": (arrived[0] - begin_ns) / 1e9 if arrived else None,
            "warm_ttft_ms": times[len(times) // 2] if times else None,
            "rss_mib": _memory_mib(started), "skipped": "", "error": error,
        })  # fmt: skip

    def _caller(self, url: str, served: str, ids: bool, options: Any, name: str) -> Caller:
        prompts = [list(p.ids) if ids or p.text is None else p.text for p in self.known.prompts]
        connection = {"url": url, "model": served, "prompts": prompts,
                      "max_tokens": self.plan.n_new, "options": dict(options)}  # fmt: skip
        return Caller(connection, self.plan.client_cpus, self.logs / f"{name}-client.log")

    def _under_load(
        self, caller: Caller, place: Record, arm: str, generation: int, dtype: str,
        started: Started | None = None,
    ) -> None:  # fmt: skip
        """Every level, upwards and downwards."""
        place = {**place, "generation": generation}
        waiting: list[tuple[Level, list[Record], Record]] = []
        most: list[float] = []
        try:
            for turn in range(ROUNDS):
                for level in self._levels(arm, generation, turn, most):
                    requests, client = caller.level(level)
                    self._counted(requests)
                    most.append(_answered_s(requests, level, client))
                    self.say(f"{arm}: {level.name}, {most[-1]:.3g} requests answered a second")
                    waiting.append((level, requests, client))
                    if self.known.greedy:
                        self._write(place, waiting, dtype)
                    if started is not None and not started.server.lives:
                        lines = started.server.last_lines(1)
                        raise ServerError(f"{arm} ended under load; its log ends: {lines}")
            if waiting:
                self._alone(caller, waiting)
        except (CallerError, ServerError) as error:
            self.emit({"record": "failure", **place, "error": str(error)})
        finally:
            self._write(place, waiting, dtype)

    def _levels(self, arm: str, generation: int, turn: int, most: list[float]) -> Any:
        """Closed loops, then open ones, whose rates the first may have to tell."""
        plan = self.plan
        yield from plan.levels("closed", plan.concurrency, generation, turn)
        if arm not in self._rates:
            self._rates[arm] = rates_of(plan, max(most, default=None))
        yield from plan.levels("open", self._rates[arm], generation, turn)

    def _counted(self, requests: Sequence[Record]) -> None:
        for one in requests:
            one["tokens"] = self.known.count(one) if not one["error"] else None

    def _alone(self, caller: Caller, waiting: list[tuple[Level, list[Record], Record]]) -> None:
        """Ask what was asked under load once more, alone: nothing else tells what is right."""
        asked = sorted({one["prompt"] for _, requests, _ in waiting for one in requests})
        self.say(f"{len(asked)} prompts once more, alone")
        alone = {one["prompt"]: one for one in caller.alone(asked)}
        n_new = self.known.n_new if self.plan.options.get("ignore_eos") else None
        for _, requests, _ in waiting:
            compare_with_alone(requests, alone, n_new)

    def _write(
        self, place: Record, waiting: list[tuple[Level, list[Record], Record]], dtype: str
    ) -> None:
        """Judge and record what waits for it."""
        for level, requests, client in waiting:
            if self.known.greedy:
                self.known.judge(requests, dtype)
            here = {**place, "loop": level.loop, "load": level.load, "round": level.round}
            for one in requests:
                one.setdefault("right", None)
                one.setdefault("wrong", "")
                self.emit({"record": "request", **here, **_kept(one, client)})
            self.emit({"record": "level", **here, **level_record(requests, client)})
        waiting.clear()


def _answered_s(requests: Sequence[Record], level: Level, client: Record) -> float:
    end = [one for one in requests if not one["error"]
           and client["window_begin_ns"] <= one["ended_ns"] < client["window_end_ns"]]  # fmt: skip
    return len(end) / level.seconds


def _kept(one: Record, client: Record) -> Record:
    """What of a request is recorded; the answer itself only where it is wrong."""
    counts = client["window_begin_ns"] <= one["scheduled_ns"] < client["window_end_ns"]
    wrong = one["right"] is False
    return {
        "number": one["number"], "prompt": one["prompt"], "counts": counts,
        "scheduled_ns": one["scheduled_ns"], "sent_ns": one["sent_ns"],
        "ended_ns": one["ended_ns"], "arrived_ns": one["arrived_ns"], "tokens": one["tokens"],
        "status": one["status"], "error": one["error"], "right": one["right"],
        "wrong": one["wrong"], "text": one["text"] if wrong else None,
        "ids": one["ids"] if wrong else None,
    }  # fmt: skip


def _memory_mib(started: Started) -> float | None:
    """Resident memory of a server with all that it has started."""
    try:
        return sum(p.memory_info().rss for p in started.server.processes) / 2**20
    except psutil.Error:
        return None
