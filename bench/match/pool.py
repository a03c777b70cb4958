"""Processes of one arm, drawn for one benchmark after another: anew, or from a pool."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psutil

from bench.match.contestant import check_weights
from bench.worker.process import Worker, WorkerError
from reports.saved.environment import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np

    from bench.plan.plan import Plan
    from bench.worker.process import Tick

MEMORY_SHARE = 0.8
"""Of the memory that is free: what a pool may take."""


class Processes:
    """A context manager that lends processes of the plan's first arm.

    Args:
        plan: whose first arm it is.
        size: of the pool; 0 for new processes in every draw.
        renew: draws that one pool is good for.
        logs: a folder for what workers print.
        made: called with every new process.
        tick: called now and then while processes load.
    """

    def __init__(
        self, plan: Plan, size: int, renew: int, logs: Path, made: Callable[[Worker], None],
        tick: Tick = lambda: None,
    ) -> None:  # fmt: skip
        self._plan, self._size, self._renew = plan, size, renew
        self._logs, self._made, self._tick = logs, made, tick
        self._stack = ExitStack()
        self._workers: list[Worker] = []
        self.draws = 0
        self.started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        """End every process."""
        self._stack.__exit__(kind, error, traceback)

    @property
    def group(self) -> int:
        """The number of the pool that the last draw was made from."""
        return (self.draws - 1) // self._renew if self._size else self.draws - 1

    def draw(self, count: int, rng: np.random.Generator) -> list[Worker]:
        """So many different processes, in a random order."""
        if not self._size or self.draws % self._renew == 0:
            self._start_anew(self._size or count)
        self.draws += 1
        chosen = rng.choice(len(self._workers), count, replace=False)
        return [self._workers[index] for index in chosen]

    def _start_anew(self, count: int) -> None:
        """End what there is, and load so many processes, as many at once as there are CPUs."""
        for worker in self._workers:
            worker.kill()
        self._stack.close()
        self._workers = []
        loading: deque[Worker] = deque()
        for _ in range(count):
            loading.append(self._start())
            if len(loading) == max(2, len(usable_cpus())):
                self._await(loading.popleft(), count)
        while loading:
            self._await(loading.popleft(), count)

    def _start(self) -> Worker:
        arguments = self._plan.worker_arguments(self._plan.arms[0], "cpu", self._plan.threads[0])
        worker = self._stack.enter_context(Worker(arguments, self._logs / "workers.log"))
        self.started += 1
        self._workers.append(worker)
        return worker

    def _await(self, worker: Worker, count: int) -> None:
        check_weights(worker.receive(tick=self._tick), self._plan.weights_sha256)
        if worker is self._workers[0]:
            check_memory(worker, count)
        self._made(worker)


def check_memory(worker: Worker, count: int) -> None:
    """Raise WorkerError where so many like this one would not fit into memory."""
    each = psutil.Process(worker.pid).memory_full_info().uss
    free = MEMORY_SHARE * psutil.virtual_memory().available
    if count * each > free:
        raise WorkerError(
            f"{count} processes take about {count * each / 2**30:.0f} GiB, and "
            f"{free / 2**30:.0f} are free for them: --pool 0 needs fewer at once"
        )
