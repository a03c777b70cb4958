"""The operations of a failing stage, as the first screen of a page lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.taps import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.records import Run

FEW = 8
"""Operations that are shown before anybody asks for all of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation.

    Attributes:
        kind, shape: what it is, and the shape of its result.
        value: the reference's quantity that it computes; else what it takes.
        known: whether it is one of the reference's quantities.
        place, code: file and line in the user's source, and what stands there.
        departs: whether it is the first that departs from the reference.
    """

    kind: str
    shape: str
    value: str
    known: bool
    place: str
    code: str
    departs: bool


@dataclass(frozen=True, slots=True)
class StageGraph:
    """What computes a place.

    Attributes:
        tap, case: the place, and the input.
        dtype: the precision that it is evaluated in.
        summary: up to where it matches, and what differs first.
        few: the operations around the first that departs.
        every: all of them; empty where few are all.
    """

    tap: str
    case: str
    dtype: str
    summary: str
    few: Sequence[Row]
    every: Sequence[Row]


def stage_graph(run: Run) -> StageGraph | None:
    """The graph of a run's first failing stage; None where none was recorded."""
    record = next(iter(run.of("graph")), None)
    if record is None or not record.get("summary"):
        return None
    rows = [_row(values) for values in record.get("operations") or []]
    few = _around(rows)
    return StageGraph(
        tap=short_name(str(record.get("tap") or "")),
        case=str(record.get("case") or ""),
        dtype=str(record.get("dtype") or "float64"),
        summary=str(record["summary"]),
        few=few,
        every=rows if len(rows) > len(few) else (),
    )


def _row(values: Mapping[str, Any]) -> Row:
    quantity = str(values.get("quantity") or "")
    return Row(
        kind=str(values.get("kind") or ""),
        shape=str(values.get("shape") or ""),
        value=quantity or str(values.get("operands") or ""),
        known=bool(quantity),
        place=str(values.get("place") or ""),
        code=str(values.get("code") or ""),
        departs=bool(values.get("departs")),
    )


def _around(rows: list[Row]) -> list[Row]:
    """The rows around the one that departs; it comes last but two."""
    at = next((place for place, row in enumerate(rows) if row.departs), len(rows) - 1)
    first = max(0, min(at - FEW + 3, len(rows) - FEW))
    return rows[first : first + FEW]
