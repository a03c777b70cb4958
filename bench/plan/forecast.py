"""What a run will spend its time on, as earlier runs on this machine did.

A budget holds all of a run: loading G processes of every arm, first calls, turns, and judging what
they returned. What cannot be cut short is the first loading, above all compiling where a cache
lacks the program; where that alone takes longer than the budget, it is said before it begins.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.saved.environment import usable_cpus
from reports.saved.machine import cpu_model
from reports.saved.records import RECORDS, RecordsError, read_run
from reports.tables.numbers import counted
from reports.waiting import about

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.plan.plan import Plan
    from reports.saved.records import Run

LOOKED_AT = 8
"""Newest runs that are looked at."""
LARGEST_BYTES = 64 << 20
"""Larger records are passed over: reading them takes seconds."""
WARM_COMPILE_S = 2.0
"""What compiling takes where a cache has the program, if it is not known."""
JUDGING = 0.1
"""Share of the referee in what is not loading, if it is not known."""
OFFICIALS_S = 6.0
"""What the referee and the ceilings take to load, both at once."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What one process of an arm takes until its first call has ended, in seconds.

    Attributes:
        load_s: importing, loading, first calls.
        compile_s: compiling, the last time.
        cold: whether that was with a cache that lacked the program.
    """

    load_s: float
    compile_s: float
    cold: bool

    @property
    def again_s(self) -> float:
        """A process that finds everything compiled."""
        return self.load_s + (min(WARM_COMPILE_S, self.compile_s) if self.cold else self.compile_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will probably take, in seconds.

    Attributes:
        whole_s: all of it.
        loading_s: of all processes, compiling apart.
        compiling_s: in the first process of each arm.
        judging_s: the referee's.
        measuring_s: turns, and what the machine can do at most; 0 where turns are counted.
        processes: of each arm that there is time for.
        wanted: processes of each arm that were asked for.
        unknown: arms that no earlier run here had.
    """

    whole_s: float
    loading_s: float
    compiling_s: float
    judging_s: float
    measuring_s: float
    processes: int
    wanted: int
    unknown: tuple[str, ...]

    def lines(self, budget_s: float | None) -> Iterator[str]:
        """What to say before the run begins."""
        if self.unknown:
            names = ", ".join(self.unknown)
            yield (
                f"No earlier run here says how long {names} takes to get ready; compiling takes "
                "minutes where a cache lacks the program, and is not cut short."
            )
        parts = {
            f"loading {counted(self.processes, 'process')} of each arm": self.loading_s,
            "compiling": self.compiling_s, "judging outputs": self.judging_s,
            "measuring": self.measuring_s,
        }  # fmt: skip
        told = ", ".join(f"{what} {about(s)}" for what, s in parts.items() if s >= 0.5)
        if budget_s is None:
            yield f"This takes as long as the turns that were asked for; {told or 'little else'}."
            return
        yield f"This takes about {about(self.whole_s)}: {told}."
        if self.processes < self.wanted:
            yield (
                f"--budget {budget_s:.0f}s has room for {self.processes} of {self.wanted} processes"
                f" of each arm{': no verdicts' if self.processes < 3 else ''}."
            )


def forecast(plans: Sequence[Plan], root: Path) -> Forecast:
    """What a run of these plans will take.

    Args:
        plans: share the budget.
        root: the folder that holds `runs/`.
    """
    runs = list(_earlier(root))
    budget_s = plans[0].budget_s if plans[0].blocks is None else None
    found = [_of_plan(plan, runs, budget_s and budget_s / len(plans)) for plan in plans]
    return Forecast(
        **{name: sum(getattr(one, name) for one in found) for name in (
            "whole_s", "loading_s", "compiling_s", "judging_s", "measuring_s",
        )},
        processes=min(one.processes for one in found), wanted=plans[0].processes,
        unknown=tuple(dict.fromkeys(name for one in found for name in one.unknown)),
    )  # fmt: skip


def _of_plan(plan: Plan, runs: Sequence[Run], budget_s: float | None) -> Forecast:
    known = _last_times(plan.model, runs)
    names = [label.partition("#")[0] for label in plan.arms]
    ready = [known[name] for name in names if name in known]
    groups = len(plan.groups)
    first_s = groups * (sum(one.load_s for one in ready) + OFFICIALS_S)
    compiling_s = groups * sum(one.compile_s for one in ready)
    again_s = groups * _at_once([one.again_s for one in ready])
    processes = plan.processes
    if budget_s is not None:
        fits = (budget_s - first_s - compiling_s) / again_s if again_s else float(processes)
        processes = max(1, min(processes, 1 + int(max(0.0, fits))))
    loading_s = first_s + (processes - 1) * again_s
    rest_s = max(0.0, budget_s - loading_s - compiling_s) if budget_s is not None else 0.0
    judging_s = _judging(runs) * rest_s
    return Forecast(
        whole_s=loading_s + compiling_s + rest_s, loading_s=loading_s, compiling_s=compiling_s,
        judging_s=judging_s, measuring_s=rest_s - judging_s, processes=processes,
        wanted=plan.processes, unknown=tuple(n for n in dict.fromkeys(names) if n not in known),
    )  # fmt: skip


def _at_once(seconds: Sequence[float]) -> float:
    """What loading several processes takes, as many at once as there are CPUs."""
    return max(max(seconds, default=0.0), sum(seconds) / max(2, len(usable_cpus())))


def _earlier(root: Path) -> Iterator[Run]:
    """Benchmarks of this machine's CPU, the newest first."""
    files = sorted(root.glob(f"runs/*-bench*/{RECORDS}"), reverse=True)[:LOOKED_AT]
    for file in files:
        try:
            if os.path.getsize(file) > LARGEST_BYTES:  # noqa: PTH202 - a size, not a path
                continue
            run = read_run(file.parent)
        except (OSError, RecordsError):
            continue
        if run.environment.get("cpu", cpu_model()) == cpu_model():
            yield run


def _last_times(model: str, runs: Sequence[Run]) -> dict[str, Ready]:
    """For each arm, what its process took in the newest run in which it took part."""
    found: dict[str, Ready] = {}
    for run in runs:
        for arm, ready in _by_arm(run.of("phase"), model).items():
            found.setdefault(arm, ready)
    return found


def _by_arm(phases: Sequence[Mapping[str, Any]], model: str) -> dict[str, Ready]:
    """Of each arm's first process; before format 4 there was no other."""
    seconds: dict[str, dict[str, float]] = {}
    cold = set()
    for phase in phases:
        arm, took = str(phase.get("arm")), phase.get("seconds")
        if phase.get("model") != model or "#" in arm or phase.get("generation", 0) != 0:
            continue
        kind = {"compile": "compile", "host_copy": None}.get(str(phase.get("phase")), "load")
        if kind and isinstance(took, int | float):
            entry = seconds.setdefault(arm, {})
            entry[kind] = entry.get(kind, 0.0) + took
        if phase.get("cache") == "cold":
            cold.add(arm)
    return {
        arm: Ready(entry.get("load", 0.0), entry.get("compile", 0.0), arm in cold)
        for arm, entry in seconds.items()
    }


def _judging(runs: Sequence[Run]) -> float:
    """The referee's share of what was not loading, in the newest run that tells."""
    for run in runs:
        shares = (run.end or {}).get("shares")
        if isinstance(shares, dict) and shares.get("wall_s", 0.0) > shares.get("loading_s", 0.0):
            return float(shares["judging_s"] / (shares["wall_s"] - shares["loading_s"]))
    return JUDGING
