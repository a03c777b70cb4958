"""Ratios of times between arms that are VALID, with the null of the same run as a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.arms.specs import baseline_of, null_pair
from bench.judge.estimate import estimate
from bench.judge.luck import pool_of
from bench.judge.statistics import turns
from bench.judge.verdict import judge, quads_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.judge.estimate import Estimate
    from bench.judge.luck import Machine
    from bench.judge.statistics import Call, Turns
    from bench.match.contestant import Contestant
    from bench.match.group import Group
    from bench.workload.workload import Workload


@dataclass(frozen=True, slots=True)
class Costs:
    """What more of a run would take, in seconds.

    Attributes:
        generation_s: loading one process of every arm.
        quad_s: one quad of every workload.
    """

    generation_s: float
    quad_s: float

    def processes_s(self, more: int | None, ratio: Estimate) -> float | None:
        """So many more processes of each arm."""
        return (
            None if more is None else more * (self.generation_s + quads_each(ratio) * self.quad_s)
        )

    def quads_s(self, more: int | None, ratio: Estimate) -> float | None:
        """So many more quads in each process."""
        return None if more is None else more * ratio.generations * self.quad_s


@dataclass(frozen=True, slots=True)
class Turned:
    """The turns of one workload, by arm.

    Attributes:
        every: the fastest call of each.
        clean: the same, without turns that were disturbed.
        typical: the median call of each.
    """

    every: Mapping[str, Turns]
    clean: Mapping[str, Turns]
    typical: Mapping[str, Turns]


def costs_of(group: Group) -> Costs:
    """What loading and quads took in this competition."""
    loaded_s = [
        sum(seconds for seconds in process.get("seconds", {}).values() if seconds)
        for arm in group.contestants
        for process in arm.processes[-1:]
    ]
    samples = [s for arm in group.contestants for found in arm.samples.values() for s in found]
    turned_s = sum(sample["wall_s"] for sample in samples if sample["call"] == 0)
    quads = len({(sample.get("generation"), sample["quad"]) for sample in samples})
    return Costs(sum(loaded_s), turned_s / max(1, quads))


def make_nulls(group: Group, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The arm that ran against itself, one record for each workload.

    Its outputs count like any others': a workload where they are wrong has no null.
    """
    pair = null_pair(group.plan.arms)
    if pair is None:
        return []
    second, first = (named(group, label) for label in pair)
    records = []
    for workload in group.plan.workloads:
        if all_valid(rows, workload, second, first):
            ratio = _ratio(second, first, times_of(group, workload), group.machine)
            records += [_null(second, first, workload, ratio)] if ratio else []
    return records


def make_effects(group: Group, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every arm but the null's second runner against the baseline, where both are VALID."""
    second, _ = null_pair(group.plan.arms) or ("", "")
    arms = [arm for arm in group.contestants if arm.label != second]
    effects = []
    for workload in group.plan.workloads:
        entered = [arm for arm in arms if all_valid(rows, workload, arm)]
        if len(entered) < 2:
            continue
        labels = [contestant.label for contestant in entered]
        versus = named(group, baseline_of(labels, group.plan.baseline))
        costs = costs_of(group)
        turned = turned_of(group, workload)
        effects += [
            _effect(arm, versus, workload, turned, group, costs)
            for arm in entered
            if arm is not versus
        ]
    return effects


def turned_of(group: Group, workload: Workload) -> Turned:
    """The turns of a workload."""
    return Turned(
        times_of(group, workload),
        times_of(group, workload, clean_only=True),
        times_of(group, workload, call="typical"),
    )


def named(group: Group, label: str) -> Contestant:
    """The contestant of this label."""
    return next(c for c in group.contestants if c.label == label)


def all_valid(rows: Iterable[Mapping[str, Any]], workload: Workload, *arms: Contestant) -> bool:
    """Whether these arms' rows of a workload are all VALID."""
    valid = {row["arm"] for row in rows
             if row["workload"] == workload.name and row["status"] == "VALID"}  # fmt: skip
    return all(arm.label in valid for arm in arms)


def times_of(
    group: Group, workload: Workload, *, call: Call = "fastest", clean_only: bool = False
) -> dict[str, Turns]:
    """The turns of every arm that took part to the end, by its label.

    What is not VALID has no speed, but says something about how much processes differ.
    """
    found = {
        arm.label: turns(arm.samples.get(workload.name, []), call=call, clean_only=clean_only)
        for arm in group.contestants
        if not arm.out
    }
    return {label: times for label, times in found.items() if times}


def _null(
    second: Contestant, first: Contestant, workload: Workload, ratio: Estimate
) -> dict[str, Any]:
    """The ratio of an arm to itself, and whether equal code was called different."""
    failed = None
    if ratio.low is not None and ratio.high is not None:
        failed = not ratio.low <= 1 <= ratio.high
    return {
        "record": "null",
        **second.place(workload),
        "versus": first.label,
        **_figures(ratio),
        "failed": failed,
    }


def _effect(
    arm: Contestant,
    versus: Contestant,
    workload: Workload,
    turned: Turned,
    group: Group,
    costs: Costs,
) -> dict[str, Any]:
    """The effect of one arm."""
    undisturbed = _ratio(arm, versus, turned.clean, group.machine)
    return {
        "record": "effect",
        **compared(arm, versus, workload, turned, group, costs),
        "ratio_clean": undisturbed.value if undisturbed else None,
        "ci_lo_clean": undisturbed.low if undisturbed else None,
        "ci_hi_clean": undisturbed.high if undisturbed else None,
        "quads_clean": undisturbed.quads if undisturbed else 0,
    }


def compared(
    arm: Contestant,
    versus: Contestant,
    workload: Workload,
    turned: Turned,
    group: Group,
    costs: Costs,
) -> dict[str, Any]:
    """One arm's time over another's, quad by quad, and what that says; both rows are VALID."""
    ratio = _ratio(arm, versus, turned.every, group.machine)
    typical = _ratio(arm, versus, turned.typical, group.machine)
    assert ratio is not None, "VALID rows have complete quads"
    assert typical is not None
    judgement = judge(ratio, group.plan.margin)
    return {
        **arm.place(workload),
        "versus": versus.label,
        **_figures(ratio),
        "ratio_typical": typical.value,
        "margin": 1 + group.plan.margin,
        "verdict": judgement.verdict,
        "more_processes": judgement.more_processes,
        "more_processes_s": costs.processes_s(judgement.more_processes, ratio),
        "more_quads": judgement.more_quads,
        "more_quads_s": costs.quads_s(judgement.more_quads, ratio),
        "why": judgement.why,
    }


def _ratio(
    arm: Contestant, versus: Contestant, times: Mapping[str, Turns], machine: Machine | None
) -> Estimate | None:
    if arm.label not in times or versus.label not in times:
        return None
    return estimate(times[arm.label], times[versus.label], pool_of([*times.values()], machine))


def _figures(ratio: Estimate) -> dict[str, Any]:
    return {
        "ratio": ratio.value,
        "ci_lo": ratio.low,
        "ci_hi": ratio.high,
        "processes": ratio.generations,
        "quads": ratio.quads,
        "log_error": ratio.error,
        "freedom": ratio.freedom,
    }
