"""An arm on a device: its worker, and all that was seen of it.

What is known of a contestant is what its records say: it takes each record as it is written, and
`python -m bench finish` makes the same contestant of the records of a run that was killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.arms.specs import spec_of
from bench.worker.process import Worker, WorkerError, WorkerUnavailable
from reports.tables.numbers import figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.worker.process import Tick
    from bench.workload.workload import Workload

    Record = Mapping[str, Any]
    Emit = Callable[[Record], None]

PHASES = ("import", "load", "compile")
FACTS = ("cache", "runtime", "kernel_path", "weight_bytes", "weight_bits")
"""What a worker says of its arm when it is ready."""


@dataclass(slots=True)
class Contestant:
    """An arm on a device, with all that was seen of it.

    Attributes:
        threads: CPUs that its workers may use.
        model: the checkpoint.
        worker: of the generation that goes on, None in between.
        generation: its number; None while it compiles with empty caches, apart from all.
        delay: a planted slowness, as a share of each call's time.
        processes: of each worker its generation, `seconds` of each phase, and `FACTS`.
        first_call_s: by workload, one for each generation.
        host_copy_s: of a result into the caller's own memory, likewise.
        paused: by workload, one for each generation: a call after a pause over one without.
        samples: records of timings, by workload.
        peak_rss_mib: while a workload ran, by workload.
        peak_device_mib: on the accelerator, by workload.
        kv_bytes: by workload.
        disagreements: the first message of each workload whose outputs were wrong.
        judged: how many outputs were compared, by workload.
        errors: the largest difference of an output and what was allowed there, by workload.
        exactness: its error over the largest logit, the dtype whose error is as large, and why it
            could not be compared; None where that was not measured.
        error: why it ended early.
        skipped: why it cannot run here.
    """

    label: str
    device: str
    threads: int = 1
    model: str = "tiny"
    worker: Worker | None = None
    generation: int | None = 0
    delay: float = 0.0
    processes: list[dict[str, Any]] = field(default_factory=list)
    first_call_s: dict[str, list[float]] = field(default_factory=dict)
    host_copy_s: dict[str, list[float]] = field(default_factory=dict)
    paused: dict[str, list[float]] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    peak_rss_mib: dict[str, float] = field(default_factory=dict)
    peak_device_mib: dict[str, float] = field(default_factory=dict)
    kv_bytes: dict[str, int] = field(default_factory=dict)
    disagreements: dict[str, str] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=dict)
    errors: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    exactness: tuple[float | None, str, str] | None = None
    error: str = ""
    skipped: str = ""

    @property
    def alive(self) -> bool:
        """Whether it can take another turn."""
        return self.worker is not None and not self.error and not self.skipped

    @property
    def out(self) -> bool:
        """Whether it takes part no longer, whatever the generation."""
        return bool(self.error or self.skipped)

    @property
    def facts(self) -> dict[str, Any]:
        """What its first worker said of the arm; empty where none was ready."""
        return self.processes[0] if self.processes else {}

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

    # ---- what is asked of a live one

    def wait_until_ready(
        self, weights_sha256: str, emit: Emit, *, alone: bool = True, tick: Tick = lambda: None
    ) -> bool:
        """Wait until the worker has loaded and compiled, and record how long each phase took.

        Returns whether it is ready.

        Args:
            weights_sha256: of what it must have loaded.
            emit: called with each record.
            alone: whether nothing else was loaded meanwhile.
            tick: called now and then while it takes long.
        """
        assert self.worker is not None
        said: dict[str, Any] = {"alone": alone, "facts": {}, "error": "", "skipped": ""}
        try:
            ready = self.worker.receive(tick=tick)
            check_weights(ready, weights_sha256)
        except WorkerUnavailable as reason:
            said["skipped"] = str(reason)
        except WorkerError as error:
            said["error"] = str(error)
        else:
            said["facts"] = {name: ready[name] for name in ("seconds", *FACTS)}
            self._note_loading(ready, emit)
        self.note(emit, {"record": "ready", **self.place(None), **self._now, **said})
        return bool(said["facts"])

    def refuse(self, reason: str, emit: Emit) -> None:
        """Record why it cannot run here."""
        said = {"facts": {}, "error": "", "skipped": reason}
        self.note(emit, {"record": "ready", **self.place(None), **self._now, **said})

    def _note_loading(self, ready: Record, emit: Emit) -> None:
        """Seconds and memory of each phase, for the tables."""
        for phase in PHASES:
            cache = ready["cache"] if phase == "compile" else None
            self.note_phase(emit, phase, None, ready["seconds"][phase], cache)
        for phase, memory in ready["memory"].items():
            self.note(
                emit,
                {"record": "memory", **self.place(None), **self._now, "phase": phase, **memory},
            )

    def note_phase(
        self, emit: Emit, phase: str, workload: Workload | None, seconds: float | None,
        cache: str | None = None,
    ) -> None:  # fmt: skip
        """Record the duration of a phase; `seconds` is None where there is no such phase."""
        found = {"phase": phase, "seconds": seconds, "cache": cache}
        self.note(emit, {"record": "phase", **self.place(workload), **self._now, **found})

    def ask(self, request: Record, emit: Emit) -> dict[str, Any] | None:
        """The worker's answer; None where it failed, which ends this contestant's part."""
        assert self.worker is not None
        try:
            return self.worker.ask(request)
        except WorkerError as error:
            self.note(
                emit, {"record": "failure", **self.place(None), **self._now, "error": str(error)}
            )
            return None

    def warm(self, workload: Workload, emit: Emit) -> float | None:
        """Call a workload for the first times; returns about how long a call takes, in seconds."""
        reply = self.ask({"op": "warm", "workload": workload.as_dict()}, emit)
        if reply is None:
            return None
        self.note_phase(emit, "first_call", workload, reply["first_call_s"])
        self.note_phase(emit, "host_copy", workload, reply["host_copy_s"])
        return float(reply["estimate_s"])

    def pause(self, workload: Workload, pause_s: float, emit: Emit) -> None:
        """Find out what a call costs after its caller did something else for a while."""
        reply = self.ask({"op": "pause", "workload": workload.as_dict(), "pause_s": pause_s}, emit)
        if reply is not None:
            where = {**self.place(workload), **self._now, "pause_s": pause_s}
            self.note(emit, {"record": "pause", **where, **reply})

    @property
    def _now(self) -> dict[str, int | None]:
        return {"generation": self.generation}

    # ---- what its records say

    def note(self, emit: Emit, record: Record) -> None:
        """Write a record, and take it."""
        emit(record)
        self.take(record)

    def take(self, record: Record) -> None:
        """Learn what a record about this contestant says; those of other kinds say nothing."""
        name = record.get("workload") or ""
        if record.get("generation", 0) is None:
            return  # compiled apart from all, with empty caches
        match record["record"]:
            case "ready":
                self._take_ready(record)
            case "phase":
                self._take_phase(record, name)
            case "pause":
                self.paused.setdefault(name, []).append(record["paused_s"] / record["tight_s"])
            case "sample":
                self.samples.setdefault(name, []).append(dict(record))
                self._take_peaks(record, name)
            case "memory" | "held" if name:
                self._take_peaks(record, name)
            case "agreement":
                self._take_agreement(record, name)
            case "exactness":
                told = record["error_class"], record["message"]
                self.exactness = figure(record["relative"]), *told
            case "failure":
                self.error = self.error or record["error"]

    def _take_agreement(self, record: Record, name: str) -> None:
        self.judged[name] = self.judged.get(name, 0) + 1
        if not record["agreed"]:
            self.disagreements.setdefault(name, record["message"])
        found = figure(record.get("difference"))
        if found is not None and found >= self.errors.get(name, (0.0, None))[0]:
            self.errors[name] = found, figure(record.get("allowed"))

    def _take_ready(self, record: Record) -> None:
        self.error = self.error or record["error"]
        self.skipped = self.skipped or record["skipped"]
        generation = record.get("generation") or 0
        known = [process["generation"] for process in self.processes]
        if record["facts"] and generation not in known:
            self.processes.append({**record["facts"], "generation": generation})

    def _take_phase(self, record: Record, name: str) -> None:
        """First calls and copies; loading too, where no `ready` tells of it (format 2)."""
        kept = {"first_call": self.first_call_s, "host_copy": self.host_copy_s}
        phase, seconds = record["phase"], record["seconds"]
        if phase in kept:
            kept[phase].setdefault(name, []).append(seconds)
        elif "generation" not in record:
            if not self.processes:
                self.processes.append({"generation": 0})
            first = self.processes[0]
            first.setdefault("seconds", {})[phase] = seconds
            first["cache"] = record.get("cache") or first.get("cache")

    def _take_peaks(self, record: Record, name: str) -> None:
        for kept, key in (
            (self.peak_rss_mib, "peak_rss_mib"),
            (self.peak_device_mib, "peak_device_mib"),
            (self.kv_bytes, "kv_bytes"),
        ):
            value = record.get(key)
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


def check_weights(ready: Record, weights_sha256: str) -> None:
    """Raise WorkerError where a worker has loaded other weights than the parent."""
    if ready["weights_sha256"] != weights_sha256:
        raise WorkerError("the checkpoint changed while the benchmark started")
