"""The model as a map: one cell for each place, blocks side by side, in the order of execution."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reports.tables.markdown import missing
from reports.tables.numbers import figure, percent, scientific, short_tap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

_BLOCK = re.compile(r"^(?P<stack>.*\.h)\.(?P<layer>\d+)(?P<inside>(\..+|:input)?)$")


@dataclass(frozen=True, slots=True)
class Cell:
    """One place.

    Attributes:
        tap: its path.
        verdict: the gravest of its checks in isolation; of those running free if there are none.
        share: of the allowed error, from 0 to 1, for the colour; None where it was not measured.
        free_failed: whether it fails when running free.
        first: whether it is the first divergence.
        tip: what is shown when it is pointed at.
    """

    tap: str
    verdict: str
    share: float | None
    free_failed: bool = False
    first: bool = False
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Map:
    """The whole model.

    Attributes:
        before, after: places outside the blocks.
        layers: numbers of the blocks.
        rows: label, and one cell for each block (None where a block has no such place).
    """

    before: list[Cell] = field(default_factory=list)
    after: list[Cell] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    rows: list[tuple[str, list[Cell | None]]] = field(default_factory=list)


def place_map(layers: pd.DataFrame, computes: Iterable[str], first: str | None) -> Map:
    """Lay out the places of a run.

    Args:
        layers: as `reports.tables.frames.layers_frame` returns them, in the order of execution.
        computes: taps at which something is computed; the others, which only pass on what others
            computed, are shown only where they fail alone.
        first: the tap of the first divergence, None without one.
    """
    computed = set(computes)
    cells = [
        _cell(row, first)
        for row in _gravest(layers.to_dict("records"))
        if row["tap"] in computed or _alone(row) != "PASS"
    ]
    inside = {cell.tap: match for cell in cells if (match := _BLOCK.match(cell.tap))}
    numbers = sorted({int(match["layer"]) for match in inside.values()})
    rows = list(dict.fromkeys(match["inside"] for match in inside.values()))
    by_place = {
        (match["inside"], int(match["layer"])): cell
        for cell in cells
        if (match := inside.get(cell.tap))
    }
    outside = [index for index, cell in enumerate(cells) if cell.tap not in inside]
    start = next((index for index, cell in enumerate(cells) if cell.tap in inside), len(cells))
    return Map(
        before=[cells[index] for index in outside if index < start],
        after=[cells[index] for index in outside if index > start],
        layers=numbers,
        rows=[
            (_row_label(name), [by_place.get((name, number)) for number in numbers])
            for name in _in_order(rows)
        ],
    )


def computing_taps(checks: pd.DataFrame) -> list[str]:
    """Taps with an envelope, in isolation: something is computed there, not only passed on."""
    alone = checks[checks["mode"] == "isolated"]
    some = alone["envelope_rms"].map(lambda value: (figure(value) or 0.0) > 0)
    return list(dict.fromkeys(alone.loc[some.astype(bool), "tap"]))


def _gravest(rows: Iterable[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    """One row for each tap: of several devices the one that fails, else that with the most used."""
    found: dict[Any, Mapping[Any, Any]] = {}
    for row in rows:
        known = found.get(row["tap"])
        if known is None or _gravity(row) > _gravity(known):
            found[row["tap"]] = row
    return list(found.values())


def _gravity(row: Mapping[Any, Any]) -> tuple[bool, bool, float]:
    used = figure(row["used"])
    share = -1.0 if used is None else math.inf if math.isnan(used) else used
    return _alone(row) not in ("PASS", "SKIP"), row.get("verdict_free") == "FAIL", share


def _alone(row: Mapping[Any, Any]) -> str:
    """The verdict in isolation; the only one there is where the place was not isolated."""
    alone = row["verdict_alone"]
    return str(row["verdict"] if missing(alone) else alone)


def _cell(row: Mapping[Any, Any], first: str | None) -> Cell:
    used = figure(row["used"])
    alone = _alone(row)
    return Cell(
        tap=str(row["tap"] or ""),
        verdict=alone,
        share=None if used is None else 1.0 if math.isnan(used) else min(1.0, used),
        free_failed=row.get("verdict_free") == "FAIL",
        first=row["tap"] == first,
        tip=_tip(row, alone),
    )


def _tip(row: Mapping[Any, Any], alone: str) -> str:
    parts = [f"{short_tap(row['tap'])}: {alone}"]
    if not missing(row["used"]):
        parts.append(f"{percent(row['used'])} of the allowed error in {row['case']}")
    if not missing(row["error"]):
        parts.append(
            f"rms error {scientific(row['error'])}; PyTorch's {scientific(row['pytorch'])}"
        )
    if not missing(row["used_free"]):
        parts.append(f"running free: {percent(row['used_free'])}")
    return "\n".join(parts)


def _row_label(inside: str) -> str:
    if not inside:
        return "block"
    return "block ←" if inside == ":input" else short_tap(inside.removeprefix("."))


def _in_order(rows: Sequence[str]) -> list[str]:
    """As executed; what a block is given first, its own result last."""
    return sorted(rows, key=lambda name: (name == "", name != ":input"))
