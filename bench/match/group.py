"""One run of the benchmark: generation after generation, start the workers and let them compete."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.arms.caches import VARIABLES
from bench.arms.specs import spec_of
from bench.arms.tf32 import judged_as
from bench.judge.agreement import is_coarse
from bench.judge.luck import machine_in
from bench.match.ceiling_rates import Ceilings, kinds_for
from bench.match.contestant import Contestant, check_weights
from bench.match.ledger import Ledger
from bench.match.pace import Pace
from bench.match.schedule import quads_for
from bench.match.turns import Match, Progress
from bench.peers import python_for
from bench.worker.process import Worker, WorkerError
from reports.saved.environment import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.judge.luck import Machine
    from bench.match.contestant import Emit
    from bench.match.turns import Status
    from bench.plan.plan import Plan

CEILING_ROUNDS = 20
"""Blocks of each ceiling in a competition: the best of them counts."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""Where outputs are on their way to the referee: writing to a disk disturbs who is timed."""
ROOM_BYTES = 4 << 30


@dataclass(slots=True)
class Group:
    """One competition: the arms of a device, with a number of threads each.

    Attributes:
        contestants: in the order of the plan's arms.
        ceilings: of the machine, None where they could not be measured.
        machine: how much processes differ here, by earlier runs; None where that is not known.
        quads: played so far, of each workload.
        generations: played so far.
    """

    plan: Plan
    device: str
    threads: int
    contestants: list[Contestant] = field(default_factory=list)
    ceilings: Ceilings | None = None
    machine: Machine | None = None
    quads: int = 0
    generations: int = 0

    def take(self, record: Mapping[str, Any]) -> None:
        """Learn what a record says of this competition."""
        if record["record"] == "rate":
            self.ceilings = self.ceilings or Ceilings(
                None, self.plan.model, self.device, self.threads
            )
            self.ceilings.take(record)
        if record["record"] == "luck":
            self.machine = machine_in(record)
        for contestant in self.contestants:
            if contestant.label == record.get("arm"):
                contestant.take(record)


def group_of(plan: Plan, device: str, threads: int) -> Group:
    """A competition before it begins."""
    contestants = [Contestant(arm, device, threads, plan.model) for arm in plan.arms]
    return Group(plan, device, threads, contestants)


@dataclass(frozen=True, slots=True)
class Hall:
    """What a competition takes place in.

    Attributes:
        emit: called with every record as soon as it is made.
        logs: a folder for what workers print.
        status: called whenever something else begins.
        ledger: where the time goes.
    """

    emit: Emit
    logs: Path
    status: Status = lambda _: None
    ledger: Ledger = field(default_factory=Ledger)


def measure(plan: Plan, hall: Hall, end_s: float) -> Iterator[Group]:
    """Let one group after the other compete, and yield each before it is timed.

    They fill while the iteration goes on, so that whoever stops it keeps what was measured.

    Args:
        plan: what to measure.
        hall: where records, logs and words go.
        end_s: the monotonic clock when all groups should be done.

    Raises:
        WorkerError: if the referee fails, without which nothing is valid.
    """
    for number, (device, threads) in enumerate(plan.groups):
        group = group_of(plan, device, threads)
        place = {"model": plan.model, "device": device, "threads": threads}
        hall.emit({"record": "plan", **place, "plan": plan.as_dict()})
        yield group
        now_s = time.monotonic()
        share_s = (end_s - now_s) / (len(plan.groups) - number)
        quads = quads_for(plan.blocks, plan.processes) if plan.blocks else None
        Competition(group, hall, Pace(plan.processes, quads, now_s + share_s)).run()


@dataclass(slots=True)
class Competition:
    """One group while it is measured.

    Attributes:
        pace: how long it may go on.
        officials: the referee, and a folder for outputs; None before the first turns.
    """

    group: Group
    hall: Hall
    pace: Pace
    officials: tuple[Worker, Path] | None = None

    def run(self) -> None:
        """Play generations until they are all played, or the time is up."""
        with ExitStack() as stack:
            if self.group.plan.cold:
                self._start_cold(stack)
            for generation in range(self.pace.processes):
                if not self.pace.may_start(generation):
                    return
                with ExitStack() as workers:
                    load_s = self._load(generation, workers)
                    if not any(contestant.alive for contestant in self.group.contestants):
                        return
                    if self.officials is None:
                        self.officials = self._officials(stack)
                    self._compete(generation, load_s)
                    with self.hall.ledger.spend("loading"):  # ending them is part of it
                        workers.close()

    # ---- loading

    def _load(self, generation: int, stack: ExitStack) -> float:
        """Start every arm's worker, or note why it cannot be; returns what that takes again, in s.

        The first generation loads one after the other, so that its phases are undisturbed; later
        ones load as many at once as there are CPUs.
        """
        width = 1 if generation == 0 else max(2, len(usable_cpus()))
        start_s, loading = time.monotonic(), deque[Contestant]()
        with self.hall.ledger.spend("loading"):
            for contestant in self.group.contestants:
                contestant.generation = generation
                if self._can_start(contestant):
                    contestant.worker = stack.enter_context(self._worker(contestant))
                    loading.append(contestant)
                if len(loading) == width:
                    self._await(loading.popleft(), alone=width == 1)
            while loading:
                self._await(loading.popleft(), alone=False)
        stack.callback(_dismiss, self.group.contestants)
        took_s = time.monotonic() - start_s
        at_once = min(max(2, len(usable_cpus())), len(self.group.contestants))
        return took_s if generation else took_s * (1 + 1 / at_once) / 2

    def _can_start(self, contestant: Contestant) -> bool:
        """Whether a worker can be started; if not, why is recorded."""
        if contestant.out:
            return False
        spec, reason = spec_of(contestant.label), ""
        if spec.cpu_only and contestant.device != "cpu":
            reason = "this arm is measured on the CPU only"
        _, missing = python_for(spec)
        if reason := reason or missing:
            contestant.refuse(reason, self.hall.emit)
        return not reason

    def _await(self, contestant: Contestant, *, alone: bool) -> None:
        progress = Progress(
            f"{contestant.label} on {contestant.device}: loading and compiling, process "
            f"{(contestant.generation or 0) + 1} of {self.pace.processes}",
            left_s=self.pace.left_s(),
        )
        self.hall.status(progress)
        contestant.wait_until_ready(
            self.group.plan.weights_sha256, self.hall.emit, alone=alone,
            tick=partial(self.hall.status, progress),
        )  # fmt: skip

    def _start_cold(self, stack: ExitStack) -> None:
        """Start every arm once with empty caches, for its phases and first call alone."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-cold-")))
        variables = {name: str(folder / name) for name in VARIABLES}
        for contestant in group_of(
            self.group.plan, self.group.device, self.group.threads
        ).contestants:
            if "#" in contestant.label or python_for(spec_of(contestant.label))[1]:
                continue
            progress = Progress(
                f"{contestant.label} on {self.group.device}: compiling, empty caches"
            )
            self.hall.status(progress)
            contestant.generation = None
            with self.hall.ledger.spend("loading"), self._worker(contestant, variables) as worker:
                contestant.worker = worker
                ready = contestant.wait_until_ready(
                    self.group.plan.weights_sha256, self.hall.emit,
                    tick=partial(self.hall.status, progress),
                )  # fmt: skip
                if ready:
                    contestant.warm(self.group.plan.workloads[0], self.hall.emit)

    def _officials(self, stack: ExitStack) -> tuple[Worker, Path]:
        """Start the referee and the ceilings, both at once."""
        plan, group = self.group.plan, self.group
        self.hall.status(Progress("PyTorch float32 as the referee: loading"))
        with self.hall.ledger.spend("loading"):
            arguments = plan.worker_arguments("referee", "cpu", max(plan.threads))
            referee = stack.enter_context(Worker(arguments, self.hall.logs / "referee.log"))
            measurer = stack.enter_context(self._role("ceilings"))
            with _refereed():
                check_weights(referee.receive(), plan.weights_sha256)
            if _is_ready(measurer):
                dtypes = [c.dtype for c in group.contestants if c.alive]
                group.ceilings = Ceilings(
                    measurer, plan.model, group.device, group.threads,
                    kinds_for(dtypes, plan.workloads, group.device),
                    {workload.name: workload for workload in plan.workloads},
                )  # fmt: skip
                group.ceilings.prepare()
        self._prepare(referee)
        return referee, _scratch(stack)

    def _prepare(self, referee: Worker) -> None:
        """Find out how far coarse arms may be off, where no earlier run here has."""
        classes = dict.fromkeys(
            judged_as(c.label, c.device) for c in self.group.contestants if c.alive
        )
        for dtype, workload in product(filter(is_coarse, classes), self.group.plan.workloads):
            text = f"how far PyTorch's own {dtype} is off, once for each size: {workload.name}"
            self.hall.status(Progress(text, left_s=self.pace.left_s()))
            request = {"op": "prepare", "workload": workload.as_dict(), "dtype": dtype}
            with self.hall.ledger.spend("judging"), _refereed():
                referee.ask(request)

    def _worker(self, contestant: Contestant, variables: Mapping[str, str] | None = None) -> Worker:
        python, _ = python_for(spec_of(contestant.label))
        return self._role(contestant.label, python, variables)

    def _role(
        self,
        role: str,
        python: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Worker:
        device, threads = self.group.device, self.group.threads
        name = f"{role}-{device}-t{threads}".replace("#", "-").replace(":", "-")
        arguments = self.group.plan.worker_arguments(role, device, threads)
        log = self.hall.logs / f"{name}.log"
        return Worker(arguments, log, python=python, variables=variables)

    # ---- turns

    def _compete(self, generation: int, load_s: float) -> None:
        assert self.officials is not None
        referee, scratch = self.officials
        match = Match(
            self.group.plan, self.group.contestants, referee, scratch, self.hall.emit,
            self.hall.status, self.hall.ledger, self.group.ceilings,
            math.ceil(CEILING_ROUNDS / self.pace.processes), generation, self.group.quads,
        )  # fmt: skip
        start_s = time.monotonic()
        with self.hall.ledger.spend("loading"):
            match.warm_up()
        with self.hall.ledger.spend("judging"), _refereed():
            match.measure_exactness()
        self.pace.loaded(generation, load_s + time.monotonic() - start_s)
        with _refereed():
            match.play(self._rounds(generation))
        self.group.quads += match.quads
        self.group.generations += 1

    def _rounds(self, generation: int) -> Iterator[int]:
        for number in self.pace.rounds(generation):
            of = f" of {self.pace.quads}" if self.pace.quads else ""
            text = f"process {generation + 1} of {self.pace.processes}, quad {number + 1}{of}"
            self.hall.status(Progress(text, self._done(generation, number), self.pace.left_s()))
            yield number

    def _done(self, generation: int, number: int) -> float:
        """About which share of the competition is done."""
        if self.pace.quads:
            return (generation + number / self.pace.quads) / self.pace.processes
        whole_s = self.pace.end_s - self.pace.start_s
        return min(1.0, 1 - (self.pace.left_s() or 0.0) / whole_s) if whole_s > 0 else 1.0


def _dismiss(contestants: Sequence[Contestant]) -> None:
    """End a generation's workers: taking a runtime down in good order takes a second for each."""
    for contestant in contestants:
        if contestant.worker:
            contestant.worker.kill()
            contestant.worker = None


def _is_ready(measurer: Worker) -> bool:
    """Whether ceilings can be measured; not where PyTorch lacks the device."""
    try:
        measurer.receive()
    except WorkerError:
        return False
    return True


@contextmanager
def _refereed() -> Iterator[None]:
    """A worker that fails here is the referee, without which nothing is valid."""
    try:
        yield
    except WorkerError as error:
        raise WorkerError(f"the referee failed: {error}") from error


def _scratch(stack: ExitStack) -> Path:
    """A folder for outputs: in memory where there is room."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    where = str(MEMORY) if roomy else None
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=where)))
