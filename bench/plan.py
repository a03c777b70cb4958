"""What a run measures, as the parent and every worker are told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.workloads import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        model: the checkpoint, as `reference.load.load` takes it.
        revision: on the hub.
        weights_sha256: what every worker must have loaded.
        devices: each with every arm.
        arms: labels (`bench.arms.labels_of`).
        workloads: what to time.
        threads: CPUs of every worker.
        budget_s: how long to measure, all devices together; without `blocks`.
        blocks: turns of each arm, of each workload; None measures as long as the budget lasts.
        seed: draws token ids, the order of turns, and the weights of `random:` checkpoints.
    """

    model: str
    revision: str | None
    weights_sha256: str
    devices: Sequence[str]
    arms: Sequence[str]
    workloads: Sequence[Workload]
    threads: int
    budget_s: float
    blocks: int | None
    seed: int

    def worker_arguments(self, role: str, device: str) -> list[str]:
        """What a worker of this run is started with."""
        workloads = json.dumps([workload.as_dict() for workload in self.workloads])
        revision = ["--revision", self.revision] if self.revision else []
        return [
            role, "--model", self.model, *revision, "--device", device, "--seed", str(self.seed),
            "--threads", str(self.threads), "--workloads", workloads,
        ]  # fmt: skip
