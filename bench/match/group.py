"""One run of the benchmark: start the workers, let them compete, end them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.arms.caches import VARIABLES
from bench.arms.specs import spec_of
from bench.match.ceiling_rates import Ceilings, kinds_for
from bench.match.contestant import Contestant, check_weights
from bench.match.turns import Match, Progress
from bench.peers import python_for
from bench.worker.process import Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.match.contestant import Emit
    from bench.match.turns import Status
    from bench.plan.plan import Plan


@dataclass(slots=True)
class Group:
    """One competition: the arms of a device, with a number of threads each.

    Attributes:
        contestants: in the order of the plan's arms.
        ceilings: of the machine, None where they could not be measured.
    """

    plan: Plan
    device: str
    threads: int
    contestants: list[Contestant] = field(default_factory=list)
    ceilings: Ceilings | None = None


def measure(plan: Plan, emit: Emit, logs: Path, status: Status = lambda _: None) -> Iterator[Group]:
    """Let one group after the other compete, and yield each before it is timed.

    They fill while the iteration goes on, so that whoever stops it keeps what was measured.

    Args:
        plan: what to measure.
        emit: called with every record as soon as it is made.
        logs: a folder for what workers print.
        status: called whenever something else begins.

    Raises:
        WorkerError: if the referee fails, without which nothing is valid.
    """
    for device, threads in plan.groups:
        group = Group(plan, device, threads)
        group.contestants = [Contestant(arm, device, threads, plan.model) for arm in plan.arms]
        place = {"model": plan.model, "device": device, "threads": threads}
        emit({"record": "plan", **place, "plan": plan.as_dict()})
        yield group
        with ExitStack() as stack:
            if plan.cold:
                _start_cold(group, emit, logs, stack, status)
            for contestant in group.contestants:
                status(Progress(f"{contestant.label} on {device}: loading and compiling"))
                _start(contestant, group, emit, logs, stack)
            if any(contestant.alive for contestant in group.contestants):
                _compete(group, emit, logs, stack, status)


def _start(contestant: Contestant, group: Group, emit: Emit, logs: Path, stack: ExitStack) -> None:
    """Start an arm's worker, or note why it cannot be."""
    spec = spec_of(contestant.label)
    python, reason = python_for(spec)
    if spec.cpu_only and contestant.device != "cpu":
        reason = "this arm is measured on the CPU only"
    if reason:
        contestant.skipped = reason
        contestant.emit_ready(emit)
        return
    worker = _worker(group, contestant.label, logs, python)
    contestant.worker = stack.enter_context(worker)
    contestant.wait_until_ready(group.plan.weights_sha256, emit)
    contestant.emit_ready(emit)


def _start_cold(group: Group, emit: Emit, logs: Path, stack: ExitStack, status: Status) -> None:
    """Start every arm that compiles once with empty caches, for its phases alone."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-cold-")))
    variables = {name: str(folder / name) for name in VARIABLES}
    for label in dict.fromkeys(label for label in group.plan.arms if "#" not in label):
        python, reason = python_for(spec_of(label))
        if reason:
            continue
        status(Progress(f"{label} on {group.device}: compiling with empty caches"))
        contestant = Contestant(label, group.device, group.threads, group.plan.model)
        with _worker(group, label, logs, python, variables) as contestant.worker:
            contestant.wait_until_ready(group.plan.weights_sha256, emit)


def _compete(group: Group, emit: Emit, logs: Path, stack: ExitStack, status: Status) -> None:
    plan = group.plan
    status(Progress("PyTorch float32 as the referee: loading"))
    arguments = plan.worker_arguments("referee", "cpu", max(plan.threads))
    referee = stack.enter_context(Worker(arguments, logs / "referee.log"))
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
    group.ceilings = _ceilings(group, logs, stack)
    try:
        check_weights(referee.receive(), plan.weights_sha256)
        Match(
            plan, group.contestants, referee, Path(scratch), emit, status,
            budget_s=plan.budget_s / len(plan.groups), ceilings=group.ceilings,
        ).play()  # fmt: skip
    except WorkerError as error:
        raise WorkerError(f"the referee failed: {error}") from error


def _ceilings(group: Group, logs: Path, stack: ExitStack) -> Ceilings | None:
    """Start the measurement of what the machine can do; None where PyTorch has not the device."""
    worker = stack.enter_context(_worker(group, "ceilings", logs))
    try:
        worker.receive()
    except WorkerError:
        return None
    dtypes = [contestant.dtype for contestant in group.contestants if contestant.alive]
    kinds = kinds_for(dtypes, group.plan.workloads, group.device)
    return Ceilings(worker, group.plan.model, group.device, group.threads, kinds)


def _worker(
    group: Group,
    role: str,
    logs: Path,
    python: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Worker:
    name = f"{role}-{group.device}-t{group.threads}".replace("#", "-").replace(":", "-")
    arguments = group.plan.worker_arguments(role, group.device, group.threads)
    return Worker(arguments, logs / f"{name}.log", python=python, variables=variables)
