"""A candidate's pairing: whose names stand for whose, how each was found, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference.taps import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.saved.records import Run

FOUND_BY = {
    "path": "has the reference's own path",
    "name": "its name says so",
    "shape": "nothing else has its shape",
    "order": "by the order of declaration: neither name nor shape tells",
    "parameters": "holds those parameters",
    "structure": "is called there",
    "value": "by trying, or by values that are equal",
    "file": "the pairing file says so",
}
"""How a counterpart was found, in words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One of the candidate's names.

    Attributes:
        own, theirs: the candidate's and the reference's; "" for none.
        part: `query`, `key` or `value` of a fused projection, else "".
        transposed: whether its last two axes change places.
        by: how it was found, in a word; why that tells, in `told`.
    """

    own: str
    theirs: str
    part: str
    transposed: bool
    by: str
    told: str


@dataclass(frozen=True, slots=True)
class PairedNames:
    """What stands for what.

    Attributes:
        groups: title, and rows.
        ways: how they were found: a word, and what it means.
        loose: the candidate's modules without a counterpart, with the reason.
        unheld: parameters of the reference that the candidate does not hold.
        spared: those of which it leaves out the bias of the keys.
    """

    groups: list[tuple[str, list[Row]]]
    ways: list[tuple[str, str]]
    loose: list[tuple[str, str]] = field(default_factory=list)
    unheld: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)


def paired_names(run: Run) -> PairedNames | None:
    """The pairing that a run recorded; None in runs without one, and in older ones."""
    for record in run.of("pairing"):
        groups = [("Parameters", record.get("weights")), ("Modules", record.get("modules"))]
        shown = [(title, [_row(one) for one in rows]) for title, rows in groups if rows]
        return PairedNames(
            groups=shown,
            ways=list(dict.fromkeys((row.by, row.told) for _, rows in shown for row in rows)),
            loose=[(one["name"], one["reason"]) for one in record.get("loose") or ()],
            unheld=[short_name(name) for name in record.get("unheld") or ()],
            spared=[short_name(name) for name in record.get("spared") or ()],
        )
    return None


def _row(one: Mapping[str, Any]) -> Row:
    return Row(
        own=one["own"],
        theirs=short_name(one["theirs"]),
        part=one["part"],
        transposed=one["transposed"],
        by=one["by"],
        told=FOUND_BY.get(one["by"], ""),
    )
