"""What a run measures, as the parent and every worker are told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.workload.workload import Workload
    from impl.config import GPT2Config

PROCESSES = 5
"""Generations. In simulation with what was seen, five of six quads find +2% in nine of ten runs,
three in six of ten (`bench.judge.estimate`); each costs the loading of every arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSpec:
    """The model that `--candidate` names.

    Attributes:
        candidate: `FILE.py:NAME` or `package.module:NAME`.
        sha256: of all of its own files (`verify.candidate.own_files`).
        files: the hash of each.
        pairing: the pairing file; empty for none.
        output: `logits` or `hidden`.
        padded_vocab: whether its vocabulary has rows of padding.
    """

    candidate: str
    sha256: str
    files: dict[str, str] = field(default_factory=dict)
    pairing: str = ""
    output: str = "logits"
    padded_vocab: bool = False

    @property
    def arguments(self) -> list[str]:
        """The options of `python -m verify` and of a worker that say the same."""
        pairing = ["--pairing", self.pairing] if self.pairing else []
        output = ["--output", self.output] if self.output != "logits" else []
        padded = ["--padded-vocab"] if self.padded_vocab else []
        return ["--candidate", self.candidate, *pairing, *output, *padded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure of one checkpoint.

    Attributes:
        model: the checkpoint, as `reference.load.load` takes it.
        revision: on the hub.
        config: its sizes.
        weights_sha256: what every worker must have loaded.
        devices: each with every arm.
        arms: labels (`bench.arms.specs.labels_of`), the null's second runner included.
        workloads: what to time.
        threads: CPUs of every worker; each number is a competition of its own.
        budget_s: how long the whole run may take; without `blocks`.
        blocks: turns of each arm, of each workload; None measures as long as the budget lasts.
        processes: of each arm, one after the other: generations.
        margin: the largest difference that does not matter, as a share.
        seed: draws token ids, the order of turns, resamples, and the weights of `random:`.
        cold: start each arm that compiles once with empty caches before.
        notes: what was done to read the checkpoint that is not done to every one.
        named: what the arm `candidate` runs; None where it takes no part.
        baseline: the arm that ratios are taken to; empty for the usual one.
    """

    model: str
    revision: str | None
    config: GPT2Config
    weights_sha256: str
    devices: Sequence[str]
    arms: Sequence[str]
    workloads: Sequence[Workload]
    threads: Sequence[int]
    budget_s: float
    blocks: int | None
    seed: int
    processes: int = PROCESSES
    margin: float = 0.01
    cold: bool = False
    named: CandidateSpec | None = None
    notes: Sequence[str] = field(default_factory=list)
    baseline: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The fields, as JSON holds them; `bench.results.rebuilt.plan_of` reads them."""
        return asdict(self)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Device and threads of each competition. Threads are the CPU's: one number for a GPU."""
        most = max(self.threads)
        return [
            (device, threads)
            for device in self.devices
            for threads in self.threads
            if device == "cpu" or threads == most
        ]

    def worker_arguments(self, role: str, device: str, threads: int) -> list[str]:
        """What a worker of this run is started with."""
        workloads = json.dumps([workload.as_dict() for workload in self.workloads])
        revision = ["--revision", self.revision] if self.revision else []
        return [
            role, "--model", self.model, *revision, "--device", device, "--seed", str(self.seed),
            "--threads", str(threads), "--workloads", workloads,
            *(self.named.arguments if self.named else []),
        ]  # fmt: skip
