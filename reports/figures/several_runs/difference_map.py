"""Two runs as maps of the model on one grid, and a third map of what their errors differ by.

    change of a place = log2(rms error in B / rms error in A)

One step is twice the error, minus one is half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference.taps import short_name
from reports.figures.model_map import Cell, Map, lay_out
from reports.tables.numbers import brief, counted, scientific

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.tables.changes import Change

REACHES = (0.1, 0.5, 1.0, 3.0)
"""Ends of the scale of colours, in steps of log2: the first that holds every passing place."""

MARKS = ("broken", "mended", "free")
"""Marks of the third map; `free` is of a place that broke only after others."""

NOT_COMPARED = "NONE"
"""Verdict of a cell that a run has no check of."""


@dataclass(frozen=True, slots=True)
class Shift(Cell):
    """What became of one place.

    Attributes:
        change: from -1 (B's error is the smaller) to 1, for the colour; 0 where it is the same.
        words: the change in steps of log2, as a cell has room for it; empty where it is nothing.
        mark: one of `MARKS`, or nothing.
    """

    change: float = 0.0
    words: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ThreeMaps:
    """Three maps of the same places.

    Attributes:
        one, other: of both runs.
        difference: of their errors; None where the runs have no place in common.
        reach: end of the scale of the third, in steps of log2.
        marks: of `MARKS`, those that the third shows.
    """

    one: Map
    other: Map
    difference: Map | None
    reach: float
    marks: list[str]


def three_maps(
    one: Sequence[Cell],
    other: Sequence[Cell],
    alone: Mapping[str, Change],
    free: Mapping[str, Change],
) -> ThreeMaps:
    """Both runs' cells and their difference on one grid.

    Args:
        one: cells of A, in the order of execution.
        other: of B, likewise.
        alone: by place, what became of it alone.
        free: the same after all places before it.
    """
    taps = _merged([cell.tap for cell in one], [cell.tap for cell in other])
    reach = _reach([alone[tap] for tap in taps if tap in alone])
    shifts = [_shift(tap, alone.get(tap), free.get(tap), reach) for tap in taps]
    marks = [mark for mark in MARKS if any(shift.mark == mark for shift in shifts)]
    compared = any(shift.verdict != NOT_COMPARED for shift in shifts)
    return ThreeMaps(
        one=lay_out(_filled(one, taps)),
        other=lay_out(_filled(other, taps)),
        difference=lay_out(shifts) if compared else None,
        reach=reach,
        marks=marks,
    )


def _merged(one: Iterable[str], other: Sequence[str]) -> list[str]:
    """The places of both, in the order of execution; what only one has stands after its neighbour.

    The first's order holds where they differ.
    """
    merged = list(one)
    for index, tap in enumerate(other):
        if tap not in merged:
            before = next((t for t in reversed(other[:index]) if t in merged), None)
            merged.insert(merged.index(before) + 1 if before else 0, tap)
    return merged


def _filled(cells: Iterable[Cell], taps: Iterable[str]) -> list[Cell]:
    known = {cell.tap: cell for cell in cells}
    return [known.get(tap) or _nothing(tap, "not compared in this run") for tap in taps]


def _nothing(tap: str, why: str) -> Cell:
    return Cell(tap, NOT_COMPARED, None, tip=f"{short_name(tap)}: {why}")


def _reach(changes: Iterable[Change]) -> float:
    """The end of the scale: places that break or are mended are marked, and need no colour."""
    passing = (change for change in changes if change.verdict not in ("broken", "mended"))
    largest = max((abs(change.log2 or 0.0) for change in passing), default=0.0)
    return next((reach for reach in REACHES if reach >= largest), REACHES[-1])


def _shift(tap: str, alone: Change | None, free: Change | None, reach: float) -> Shift:
    change = alone or free
    if change is None:
        return Shift(tap, NOT_COMPARED, None, tip=f"{short_name(tap)}: not in both runs")
    steps = change.log2
    mark = change.verdict if change.verdict in ("broken", "mended") else ""
    mark = mark or ("free" if free and free.broken else "")
    share = 0.0 if steps is None else max(-1.0, min(1.0, steps / reach))
    return Shift(
        tap,
        change.verdict,
        None,
        tip=_tip(tap, change, free),
        change=round(share, 3),
        words=_words(steps),
        mark=mark,
    )


def _words(steps: float | None) -> str:
    """At most three characters: `+38`, `-.4`; nothing where a tenth does not show."""
    if steps is None or abs(steps) < 0.05:
        return ""
    text = f"{steps:+.0f}" if abs(steps) >= 0.95 else f"{steps:+.1f}".replace("0.", ".")
    return text.replace("-", "−")  # noqa: RUF001 - the minus sign, as wide as the plus


def _tip(tap: str, change: Change, free: Change | None) -> str:
    lines = [f"{short_name(tap)}: {change.verdict}", in_words(change)]
    lines += [
        f"{verb} in {', '.join(cases[:3])}{f' and {len(cases) - 3} more' * (len(cases) > 3)}"
        for verb, cases in (("fails now", change.broken), ("failed before", change.mended))
        if cases
    ]
    if free and free is not change:
        lines.append(f"running free: {free.verdict}, {in_words(free)}")
    return "\n".join(lines)


def in_words(change: Change) -> str:
    """What became of a place's error, in one line."""
    if not change.changed:
        return f"the same number in {counted(change.cases, 'case')}"
    where = f"in {change.changed} of {counted(change.cases, 'case')}"
    if change.log2 is None:
        worst = [max(values, default=0.0) for values in zip(*_errors(change), strict=True)]
        return f"rms error from {' to '.join(map(scientific, worst))} {where}"
    ratio = change.rms_ratio
    shown = brief(ratio) if ratio < 1e4 else scientific(ratio)
    return f"rms error times {shown} ({change.log2:+.2f} steps of log2) {where}"


def _errors(change: Change) -> list[tuple[float, float]]:
    pairs = [pair for pair in change.pairs if pair.changed]
    return [(_number(pair.a.get("rms")), _number(pair.b.get("rms"))) for pair in pairs]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
