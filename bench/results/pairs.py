"""Every arm's time over that of this project's own arm, whatever the baseline.

Ratios of two ratios would have intervals that are too wide, because both share the baseline's
noise. So each pair is estimated by itself, from its own quads (`bench.judge.estimate`).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from bench.arms.specs import own_of, spec_of
from bench.results.effects import all_valid, compared, costs_of, named, turned_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.match.contestant import Contestant
    from bench.match.group import Group


def make_pairs(group: Group, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A `pair` record for each workload and two arms whose rows are both VALID."""
    costs, records = costs_of(group), []
    pairs = pairs_in(group)
    for workload in group.plan.workloads:
        turned = turned_of(group, workload)
        records += [
            {"record": "pair", **compared(arm, versus, workload, turned, group, costs)}
            for arm, versus in pairs
            if all_valid(rows, workload, arm, versus)
        ]
    return records


def pairs_in(group: Group) -> list[tuple[Contestant, Contestant]]:
    """Whose times are compared: all with the own arm's, then like with like.

    What is not MAX is compared with every engine of MAX's in its own class too: MAX has two in
    bfloat16, and neither's times are chosen among the other's.
    """
    arms = {c.label: c for c in group.contestants if "#" not in c.label}
    if not arms:  # `bench ceilings`
        return []
    own = own_of(list(arms), group.plan.baseline)
    others = [label for label in arms if label != own]
    engines = [label for label in others if spec_of(label).engine.startswith("auto")]
    alike = [
        (label, engine)
        for label, engine in product(others, engines)
        if not spec_of(label).candidate and spec_of(label).class_ == spec_of(engine).class_
    ]
    every = [*((label, own) for label in others), *alike]
    return [(named(group, arm), named(group, versus)) for arm, versus in every]
