"""An arm on a device: its worker, and all that was seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.process import Worker, WorkerError, WorkerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Emit = Callable[[Mapping[str, Any]], None]

PHASES = ("import_s", "load_s", "compile_s")


@dataclass(slots=True)
class Contestant:
    """An arm on a device, with all that was seen of it.

    Attributes:
        phases: seconds of import, load and compile; null where there is no such phase.
        first_call_s: by workload.
        samples: records of timings, by workload.
        disagreements: the first message of each workload whose outputs were wrong.
        judged: how many outputs were compared, by workload.
        error: why it ended early.
        skipped: why it cannot run here.
    """

    label: str
    device: str
    worker: Worker | None = None
    phases: dict[str, float | None] = field(default_factory=dict)
    first_call_s: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    disagreements: dict[str, str] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=dict)
    peak_rss_mib: float | None = None
    error: str = ""
    skipped: str = ""

    @property
    def alive(self) -> bool:
        """Whether it can take another turn."""
        return self.worker is not None and not self.error and not self.skipped

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The worker's answer; None where it failed, which ends this contestant's part."""
        assert self.worker is not None
        try:
            return self.worker.ask(request)
        except WorkerError as error:
            self.error = str(error)
            return None

    def wait_until_ready(self, weights_sha256: str, emit: Emit) -> None:
        """Wait until the worker has loaded and compiled, and record how long each phase took."""
        assert self.worker is not None
        try:
            ready = self.worker.receive()
            check_weights(ready, weights_sha256)
        except WorkerUnavailable as reason:
            self.skipped = str(reason)
        except WorkerError as error:
            self.error = str(error)
        else:
            for phase in PHASES:
                self.phases[phase] = ready[phase]
                self.emit_phase(emit, phase, None, ready[phase])

    def emit_phase(
        self, emit: Emit, phase: str, workload: str | None, seconds: float | None
    ) -> None:
        """Record the duration of a phase; `seconds` is None where there is no such phase."""
        emit(
            {
                "record": "phase",
                "arm": self.label,
                "device": self.device,
                "phase": phase.removesuffix("_s"),
                "workload": workload,
                "seconds": seconds,
            }
        )


def check_weights(ready: Mapping[str, Any], weights_sha256: str) -> None:
    """Raise WorkerError where a worker has loaded other weights than the parent."""
    if ready["weights_sha256"] != weights_sha256:
        raise WorkerError("the checkpoint changed while the benchmark started")
