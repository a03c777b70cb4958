"""What a run takes besides measuring: loading, compiling, first calls, as earlier runs here did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.saved.records import RECORDS, RecordsError, read_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.plan.plan import Plan

LOOKED_AT = 8
"""Newest runs that are looked at."""

PHASES = ("import", "load", "compile", "first_call")
"""What of an arm is not measuring. Workers start one after the other."""


def overhead_s(plan: Plan, root: Path) -> tuple[float, list[str]]:
    """Seconds that the arms of a plan took to get ready the last time, and who is not known.

    Args:
        plan: of the run to come.
        root: the folder that holds `runs/`.
    """
    known = _last_times(plan.model, root)
    names = [label.partition("#")[0] for label in plan.arms]
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    seconds = sum(known.get(name, 0.0) for name in names)
    return seconds * len(plan.groups), unknown


def _last_times(model: str, root: Path) -> dict[str, float]:
    """For each arm, the seconds of its phases in the newest run in which it took part."""
    folders = sorted(root.glob(f"runs/*-bench*/{RECORDS}"), reverse=True)[:LOOKED_AT]
    found: dict[str, float] = {}
    for file in folders:
        try:
            phases = read_run(file.parent).of("phase")
        except RecordsError:
            continue
        for arm, seconds in _by_arm(phases, model).items():
            found.setdefault(arm, seconds)
    return found


def _by_arm(phases: Sequence[Mapping[str, Any]], model: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for phase in phases:
        seconds = phase.get("seconds")
        if phase.get("model") != model or phase.get("phase") not in PHASES:
            continue
        if "#" not in str(phase["arm"]) and isinstance(seconds, int | float):
            totals[phase["arm"]] = totals.get(phase["arm"], 0.0) + seconds
    return totals
