"""All that is made of what was measured: rows, nulls, effects, pairs, ceilings, fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.results.effects import make_effects, make_nulls
from bench.results.fit import make_scaling
from bench.results.pairs import make_pairs
from bench.results.rows import make_rows
from bench.results.unverified import of_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.match.group import Group
    from bench.results.unverified import Reasons


def make_results(groups: Sequence[Group], unverified: Reasons) -> list[dict[str, Any]]:
    """The results of every group, in the order in which they are recorded."""
    records: list[dict[str, Any]] = []
    for group in groups:
        rows = make_rows(group, of_plan(unverified, group.plan))
        ceilings = group.ceilings.records() if group.ceilings else []
        records += [memory for arm in group.contestants for memory in arm.memory_records()]
        records += [*rows, *make_nulls(group, rows), *make_effects(group, rows)]
        records += [*make_pairs(group, rows), *ceilings]
    return records + make_scaling(records)
