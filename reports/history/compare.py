"""`python -m reports compare ONE OTHER`: two runs side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from reports.history.entries import ALIKE, Point, is_step, run_lines
from reports.pages.bench_page import bench_headline
from reports.pages.headline import verify_headline
from reports.pages.rendering import render_template
from reports.saved.records import RecordsError
from reports.tables.frames import checks_frame
from reports.tables.numbers import duration, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both runs.

    Attributes:
        name: the place, or the workload and arm.
        shown: of both runs, written; a dash where a run has none.
        change: second over first; None where one of them is missing or zero.
        differs: whether they differ (intervals apart, or by more than a quarter).
    """

    name: str
    shown: tuple[str, str]
    change: float | None
    differs: bool


def compare_page(one: Run, other: Run) -> str:
    """A page with both runs side by side.

    Raises:
        RecordsError: if they are not of one kind.
    """
    if one.kind != other.kind:
        raise RecordsError(
            f"{one.folder.name} is of kind {one.kind}, {other.folder.name} of kind {other.kind}: "
            "only runs of one kind can be compared"
        )
    pairs = compared(one, other)
    return render_template(
        "compare.html",
        title="Two runs side by side",
        kicker=f"{one.folder.name} · {other.folder.name}",
        footer=as_called("Made from saved records by python -m reports compare."),
        heads=[_head(run) for run in (one, other)],
        names=[one.folder.name, other.folder.name],
        pairs=sorted(pairs, key=lambda pair: (not pair.differs, -_size(pair.change))),
        figures="share of the allowed error" if one.kind == "verify" else "median time",
        unlike=unlike(one, other),
        environment=_environments(one, other),
    )


def unlike(one: Run, other: Run) -> list[str]:
    """What differs between two environments and forbids to call a change the code's."""
    return [
        f"{name}: {one.environment.get(name)}, then {other.environment.get(name)}"
        for name in ALIKE
        if one.environment.get(name) != other.environment.get(name)
    ]


def compared(one: Run, other: Run) -> list[Pair]:
    """Every figure that at least one of the runs has."""
    lines = [run_lines(run) for run in (one, other)]
    show = percent if one.kind == "verify" else duration
    return [
        _pair(name, lines[0].get(name), lines[1].get(name), show)
        for name in dict.fromkeys([*lines[0], *lines[1]])
    ]


def _pair(name: str, first: Point | None, second: Point | None, show: Any) -> Pair:
    values = tuple(show(point.value) if point else "-" for point in (first, second))
    both = first is not None and second is not None
    change = second.value / first.value if first and second and first.value else None
    differs = is_step(first, second) if first is not None and second is not None else not both
    return Pair(name, (values[0], values[1]), change, differs)


def _size(change: float | None) -> float:
    return abs(math.log(change)) if change else math.inf


def _head(run: Run) -> Any:
    return verify_headline(run, checks_frame(run)) if run.kind == "verify" else bench_headline(run)


def _environments(one: Run, other: Run) -> list[tuple[str, str, str, bool]]:
    """Entries of both environments: name, values, and whether they differ."""
    names: Sequence[str] = list(dict.fromkeys([*one.environment, *other.environment]))
    rows = [(n, str(one.environment.get(n)), str(other.environment.get(n))) for n in names]
    return [(name, first, second, first != second) for name, first, second in rows]
