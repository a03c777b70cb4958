"""An arm on a device: its worker, and all that was seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.arms.specs import spec_of
from bench.worker.process import Worker, WorkerError, WorkerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.workload.workload import Workload

    Emit = Callable[[Mapping[str, Any]], None]

PHASES = ("import", "load", "compile")


@dataclass(slots=True)
class Contestant:
    """An arm on a device, with all that was seen of it.

    Attributes:
        threads: CPUs that its worker may use.
        model: the checkpoint.
        delay: a planted slowness, as a share of each call's time.
        phases: seconds of import, load and compile; null where there is no such phase.
        facts: what the worker told when it was ready: `cache`, `runtime`, `weight_bytes`, ...
        first_call_s: by workload.
        host_copy_s: of a result into the caller's own memory, by workload.
        samples: records of timings, by workload.
        peak_rss_mib: while a workload ran, by workload.
        peak_device_mib: on the accelerator, by workload.
        kv_bytes: by workload.
        disagreements: the first message of each workload whose outputs were wrong.
        judged: how many outputs were compared, by workload.
        error: why it ended early.
        skipped: why it cannot run here.
    """

    label: str
    device: str
    threads: int = 1
    model: str = "tiny"
    worker: Worker | None = None
    delay: float = 0.0
    phases: dict[str, float | None] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    first_call_s: dict[str, float] = field(default_factory=dict)
    host_copy_s: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    peak_rss_mib: dict[str, float] = field(default_factory=dict)
    peak_device_mib: dict[str, float] = field(default_factory=dict)
    kv_bytes: dict[str, int] = field(default_factory=dict)
    disagreements: dict[str, str] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=dict)
    error: str = ""
    skipped: str = ""

    @property
    def alive(self) -> bool:
        """Whether it can take another turn."""
        return self.worker is not None and not self.error and not self.skipped

    @property
    def dtype(self) -> str:
        """Of its weights and activations."""
        return spec_of(self.label).dtype

    def place(self, workload: Workload | None) -> dict[str, Any]:
        """What every record about it begins with."""
        return {
            "model": self.model,
            "workload": workload.name if workload else None,
            "arm": self.label,
            "device": self.device,
            "dtype": self.dtype,
            "threads": self.threads,
        }

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
            self.facts = ready
            self.phases = {f"{phase}_s": ready["seconds"][phase] for phase in PHASES}
            for phase in PHASES:
                self.emit_phase(emit, phase, None, ready["seconds"][phase])
            for phase, memory in ready["memory"].items():
                emit({"record": "memory", **self.place(None), "phase": phase, **memory})

    def emit_ready(self, emit: Emit) -> None:
        """Record what is known of it now: what the worker told, or why it takes no part."""
        told = {"facts": self.facts, "error": self.error, "skipped": self.skipped}
        emit({"record": "ready", **self.place(None), **told})

    def emit_phase(
        self, emit: Emit, phase: str, workload: Workload | None, seconds: float | None
    ) -> None:
        """Record the duration of a phase; `seconds` is None where there is no such phase."""
        cache = self.facts.get("cache") if phase == "compile" else None
        record = {"phase": phase, "seconds": seconds, "cache": cache}
        emit({"record": "phase", **self.place(workload), **record})

    def warm(self, workload: Workload, emit: Emit) -> float | None:
        """Call a workload for the first times; returns about how long a call takes, in seconds."""
        reply = self.ask({"op": "warm", "workload": workload.as_dict()})
        if reply is None:
            return None
        self.first_call_s[workload.name] = reply["first_call_s"]
        self.host_copy_s[workload.name] = reply["host_copy_s"]
        self.emit_phase(emit, "first_call", workload, reply["first_call_s"])
        self.emit_phase(emit, "host_copy", workload, reply["host_copy_s"])
        return float(reply["estimate_s"])

    def remember(self, workload: Workload, reply: Mapping[str, Any]) -> None:
        """Keep what a turn told beside its times."""
        name = workload.name
        for kept, value in (
            (self.peak_rss_mib, reply["peak_rss_mib"]),
            (self.peak_device_mib, reply["peak_device_mib"]),
            (self.kv_bytes, reply["kv_bytes"]),
        ):
            if value is not None:
                kept[name] = max(value, kept.get(name, 0))

    def memory_records(self) -> list[dict[str, Any]]:
        """The most that each workload held."""
        return [
            {
                "record": "memory",
                **self.place(None),
                "workload": name,
                "phase": None,
                "peak_rss_mib": peak,
                "rss_mib": None,
                "peak_device_mib": self.peak_device_mib.get(name),
            }
            for name, peak in self.peak_rss_mib.items()
        ]


def check_weights(ready: Mapping[str, Any], weights_sha256: str) -> None:
    """Raise WorkerError where a worker has loaded other weights than the parent."""
    if ready["weights_sha256"] != weights_sha256:
        raise WorkerError("the checkpoint changed while the benchmark started")
