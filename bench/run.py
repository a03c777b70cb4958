"""One run of the benchmark: start the workers, let them compete, end them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contestant import Contestant, check_weights
from bench.match import Match
from bench.process import Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.contestant import Emit
    from bench.match import Status
    from bench.plan import Plan


def measure(
    plan: Plan, emit: Emit, logs: Path, status: Status = lambda *_: None
) -> Iterator[list[Contestant]]:
    """Measure device after device, and yield each one's contestants before the first is timed.

    The lists fill while the iteration goes on, so that whoever stops it keeps what was measured.

    Args:
        plan: what to measure.
        emit: called with every record as soon as it is made.
        logs: a folder for what workers print.
        status: called with a few words, and the share that is done once that is known.

    Raises:
        WorkerError: if the referee fails, without which nothing is valid.
    """
    for device in plan.devices:
        contestants = [Contestant(label, device) for label in plan.arms]
        yield contestants
        with ExitStack() as stack:
            for contestant in contestants:
                status(f"{contestant.label} on {device}: loading and compiling", None)
                contestant.worker = stack.enter_context(_worker(plan, contestant, logs))
                contestant.wait_until_ready(plan.weights_sha256, emit)
            if not any(contestant.alive for contestant in contestants):
                continue
            status("PyTorch float32 as the referee: loading", None)
            arguments = plan.worker_arguments("referee", "cpu")
            referee = stack.enter_context(Worker(arguments, logs / "referee.log"))
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            try:
                check_weights(referee.receive(), plan.weights_sha256)
                Match(plan, contestants, referee, Path(scratch), emit, status).play()
            except WorkerError as error:
                raise WorkerError(f"the referee failed: {error}") from error


def _worker(plan: Plan, contestant: Contestant, logs: Path) -> Worker:
    name = f"{contestant.label}-{contestant.device}".replace("#", "-").replace(":", "-")
    arguments = plan.worker_arguments(contestant.label, contestant.device)
    return Worker(arguments, logs / f"{name}.log")
