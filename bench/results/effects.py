"""Ratios of times between arms that are VALID, judged beside the null of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.arms.specs import baseline_of, null_pair
from bench.judge.statistics import log_ratios, ratio_of, time_ratio, turns
from bench.judge.verdict import judge, margin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.match.contestant import Contestant
    from bench.match.group import Group
    from bench.workload.workload import Workload


def make_nulls(group: Group, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The arm that ran against itself: one record for each workload, and one for all together.

    Its outputs count like any others': a workload where they are wrong has no null.
    """
    second, first = (_named(group, label) for label in null_pair(group.plan.arms))
    valid = [w for w in group.plan.workloads if _valid(rows, w, second, first)]
    records = [_null(second, first, [workload], group.plan.seed) for workload in valid]
    if len(valid) > 1:
        records.append(_null(second, first, valid, group.plan.seed))
    return [record for record in records if record]


def make_effects(
    group: Group, rows: Sequence[Mapping[str, Any]], nulls: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every arm but the null's second runner against the baseline, where both are VALID."""
    second, _ = null_pair(group.plan.arms)
    arms = [arm for arm in group.contestants if arm.label != second]
    margins = {null["workload"]: null["margin"] for null in nulls}
    effects = []
    for workload in group.plan.workloads:
        entered = [arm for arm in arms if _valid(rows, workload, arm)]
        if len(entered) < 2:
            continue
        versus = _named(group, baseline_of([contestant.label for contestant in entered]))
        effects += [
            _effect(arm, versus, workload, margins.get(workload.name), group.plan.seed)
            for arm in entered
            if arm is not versus
        ]
    return effects


def _named(group: Group, label: str) -> Contestant:
    return next(c for c in group.contestants if c.label == label)


def _valid(rows: Iterable[Mapping[str, Any]], workload: Workload, *arms: Contestant) -> bool:
    valid = {row["arm"] for row in rows
             if row["workload"] == workload.name and row["status"] == "VALID"}  # fmt: skip
    return all(arm.label in valid for arm in arms)


def _null(
    second: Contestant, first: Contestant, workloads: Sequence[Workload], seed: int
) -> dict[str, Any]:
    """The ratio of an arm to itself, over the quads of these workloads."""
    logs = np.concatenate([log_ratios(*_both(second, first, w)) for w in workloads])
    ratio = ratio_of(logs, seed)
    if ratio is None:
        return {}
    one = workloads[0] if len(workloads) == 1 else None
    return {
        "record": "null",
        **second.place(one),
        "versus": first.label,
        "ratio": ratio.value,
        "ci_lo": ratio.low,
        "ci_hi": ratio.high,
        "quads": ratio.quads,
        "margin": margin_of(ratio),
        "seed": seed,
    }


def _effect(
    arm: Contestant, versus: Contestant, workload: Workload, margin: float | None, seed: int
) -> dict[str, Any]:
    ratio = time_ratio(*_both(arm, versus, workload), seed=seed)
    assert ratio is not None, "VALID rows have complete quads"
    clean = time_ratio(*_both(arm, versus, workload, clean_only=True), seed=seed)
    judgement = judge(ratio, margin)
    return {
        "record": "effect",
        **arm.place(workload),
        "versus": versus.label,
        "ratio": ratio.value,
        "ci_lo": ratio.low,
        "ci_hi": ratio.high,
        "ratio_clean": clean.value if clean else None,
        "ci_lo_clean": clean.low if clean else None,
        "ci_hi_clean": clean.high if clean else None,
        "quads": ratio.quads,
        "quads_clean": clean.quads if clean else 0,
        "margin": margin,
        "verdict": judgement.verdict,
        "blocks_needed": judgement.blocks_needed,
        "seed": seed,
    }


def _both(
    arm: Contestant, versus: Contestant, workload: Workload, *, clean_only: bool = False
) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    first, second = (
        turns(contestant.samples.get(workload.name, []), clean_only=clean_only)
        for contestant in (arm, versus)
    )
    return first, second
