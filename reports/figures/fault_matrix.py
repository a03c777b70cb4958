"""The matrix of planted faults: each fault, where it was blamed, and by what margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.taps import short_name, with_layer
from reports.tables.numbers import compact, figure, times_allowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.saved.records import Run

BRIGHTEST = 1e6
"""Margins from here on have one colour."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One fault in one column: its margin, the colour's share, and whether it was caught.

    Caught means blamed on the right place, by a safe margin; the record says whether it was.
    """

    margin: float | None
    text: str
    share: float
    caught: bool
    tip: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    Attributes:
        name: its id.
        found: what it computes instead, and where this really happened.
        stage: index of the column of the stage that must be blamed.
        best: its most telling sighting; None where nothing could show it.
        regimes: by regime; None where it was not planted or changes nothing.
        in_max: as a real MAX graph; None where it was not planted in one.
        verdict: PASS, UNDERPOWERED or SKIP, with the reason in `message`.
    """

    name: str
    found: str
    seen_in: str
    stage: int
    best: Sighting | None
    regimes: list[Sighting | None]
    in_max: Sighting | None
    verdict: str
    message: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """All faults, sorted by stage, and the names of the columns."""

    stages: list[str]
    regimes: list[str]
    faults: list[Fault]
    with_max: bool

    @property
    def caught(self) -> int:
        """How many of them were caught and blamed on the right place."""
        return sum(fault.verdict == "PASS" for fault in self.faults)

    @property
    def weakest(self) -> Fault | None:
        """The fault with the smallest margin, of those that could be shown."""
        shown = [fault for fault in self.faults if fault.best and fault.best.margin is not None]
        return min(shown, key=lambda fault: fault.best.margin or 0.0, default=None)  # type: ignore[union-attr]


def fault_matrix(run: Run) -> Matrix | None:
    """The matrix of a run; None where no faults were planted."""
    checks = [record for record in run.of("check") if record.get("mode") == "power"]
    if not checks:
        return None
    sightings = [record for record in run.of("fault") if record.get("applicable")]
    regimes = _unique(record.get("regime") for record in sightings)
    stages = _unique(stage_name(check["tap"]) for check in checks if check.get("tap"))
    in_max = {str(c.get("case")): c for c in run.of("check") if c.get("mode") == "max-power"}
    by_fault = {(record.get("fault"), record.get("regime")): record for record in sightings}
    faults = [_fault(check, stages, regimes, by_fault, in_max) for check in checks]
    faults.sort(key=lambda fault: fault.stage if fault.best else len(stages))
    return Matrix(stages, regimes, faults, bool(in_max))


def stage_name(tap: str) -> str:
    """A tap without the number of its block: one column serves all blocks."""
    return short_name(with_layer(tap, "n"))


def _fault(
    check: Mapping[str, Any],
    stages: Sequence[str],
    regimes: Sequence[str],
    by_fault: Mapping[tuple[Any, Any], Mapping[str, Any]],
    in_max: Mapping[str, Mapping[str, Any]],
) -> Fault:
    name, details = str(check.get("case")), check.get("details") or {}
    stage = stage_name(check.get("tap") or "")
    return Fault(
        name=name,
        found=str(details.get("found", "")),
        seen_in=str(details.get("seen_in", "")),
        stage=stages.index(stage) if stage in stages else -1,
        best=_sighting(details, name) if details else None,
        regimes=[
            _sighting(record, name) if (record := by_fault.get((name, regime))) else None
            for regime in regimes
        ],
        in_max=_sighting(in_max[name].get("details") or {}, name) if name in in_max else None,
        verdict=str(check.get("verdict")),
        message=str(check.get("message") or ""),
    )


def _sighting(record: Mapping[str, Any], name: str) -> Sighting:
    margin = figure(record.get("margin"))
    error = "no error" if margin is None else times_allowed(margin)
    tip = f"{name}: {error} in {record.get('case', '')}\nblamed on "
    tip += short_name(record.get("blamed")) or "nothing"
    return Sighting(margin, compact(margin), _share(margin), bool(record.get("caught")), tip)


def _share(margin: float | None) -> float:
    """Colour's share: logarithm of the margin, from 1 to `BRIGHTEST`."""
    if margin is None or math.isnan(margin) or margin <= 1:
        return 0.0
    return round(min(1.0, math.log10(min(margin, BRIGHTEST)) / math.log10(BRIGHTEST)), 3)


def _unique(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values))
