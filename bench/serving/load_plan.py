"""What a run of `python -m bench serve` measures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.asking.level import Level, Loop

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 2
"""Loads are put on a server upwards, then downwards, so that a drift of the machine is no trend."""

WARM_SHARE = 0.25
"""Of a level's seconds, so many more at its beginning that do not count."""

SHARES = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2)
"""Rates of arrivals, as shares of the most that a server answered in its closed loops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """All of it.

    Attributes:
        arms: servers that are started, or the one that is there.
        url: of a running server; empty where they are started.
        model: the checkpoint; empty where it is not known.
        revision: of a model of the hub.
        served: the name under which a server at `url` has its model.
        concurrency: callers of each closed loop.
        rates: requests a second of each open loop; None for shares of what each server can.
        seconds: that each level counts.
        processes: of each server, one after the other.
        threads: of each server.
        server_cpus, client_cpus: where they run.
        n_prompt: least and most tokens of a prompt.
        n_new: tokens of each answer.
        prompts: how many different ones.
        slo_ttft_ms, slo_tpot_ms: limits that a request must keep to count as goodput.
        margin: the largest difference that does not matter.
        cold: whether each server is started once with empty caches, too.
        seed: draws prompts, arrivals and turns.
        text: whether the server at `url` takes texts instead of token ids.
        judged_as: the dtype that its answers are judged by.
        options: further fields of each request to it.
    """

    arms: Sequence[str]
    url: str = ""
    model: str = ""
    revision: str | None = None
    served: str = ""
    concurrency: Sequence[int]
    rates: Sequence[float] | None
    seconds: float
    processes: int
    threads: int
    server_cpus: Sequence[int]
    client_cpus: Sequence[int]
    n_prompt: tuple[int, int]
    n_new: int
    prompts: int
    slo_ttft_ms: float | None = None
    slo_tpot_ms: float | None = None
    margin: float
    cold: bool = False
    seed: int = 0
    text: bool = False
    judged_as: str = "float32"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def workload(self) -> str:
        """`64+16`: tokens of a prompt and of an answer; `16-128+16` where prompts differ."""
        least, most = self.n_prompt
        return f"{least if least == most else f'{least}-{most}'}+{self.n_new}"

    def place(self, arm: str, dtype: str) -> dict[str, Any]:
        """What every record of an arm has."""
        return {"model": self.model or self.served, "workload": self.workload, "arm": arm,
                "device": "cpu" if not self.url else None, "dtype": dtype,
                "threads": None if self.url else self.threads}  # fmt: skip

    def order(self, generation: int) -> list[str]:
        """Which server comes when: drawn, and reversed in every second generation."""
        rng = np.random.default_rng([self.seed, generation // 2])
        arms = [self.arms[int(place)] for place in rng.permutation(len(self.arms))]
        return arms[::-1] if generation % 2 else arms

    def levels(self, loop: Loop, loads: Sequence[float], generation: int, turn: int) -> list[Level]:
        """Levels of one round, upwards or downwards."""
        found = [
            Level(loop=loop, load=load, warm_s=WARM_SHARE * self.seconds, seconds=self.seconds,
                  round=turn, seed=self.seed * 1000 + generation)
            for load in sorted(loads)
        ]  # fmt: skip
        return found[::-1] if turn % 2 else found

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


def rates_of(plan: LoadPlan, most: float | None) -> list[float]:
    """Rates of an arm's open loops, in requests a second.

    Args:
        plan: what is measured.
        most: requests a second that it answered at most; None where there were no closed loops.
    """
    if plan.rates is not None:
        return list(plan.rates)
    return [float(f"{share * most:.3g}") for share in SHARES] if most else []
