"""The model as a map: one cell for each place, blocks side by side, in the order of execution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference.taps import INPUT, block_of, layer_of, short_name
from reports.tables.frames import gravest_by_tap, missing, verdict_alone
from reports.tables.numbers import figure, percent, scientific

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd


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
    return lay_out(cells_of(layers, computes, first))


def cells_of(layers: pd.DataFrame, computes: Iterable[str], first: str | None) -> list[Cell]:
    """The cells of a run, as `place_map` describes them."""
    computed = set(computes)
    return [
        _cell(row, first)
        for row in gravest_by_tap(layers)
        if row["tap"] in computed or verdict_alone(row) != "PASS"
    ]


def lay_out(cells: Sequence[Cell]) -> Map:
    """Cells in the order of execution as a map: blocks side by side, the rest before and after."""
    by_place = {
        (cell.tap.removeprefix(block_of(cell.tap)), layer): cell
        for cell in cells
        if (layer := layer_of(cell.tap)) is not None
    }
    numbers = sorted({layer for _, layer in by_place})
    rows = list(dict.fromkeys(inside for inside, _ in by_place))
    outside = [index for index, cell in enumerate(cells) if not block_of(cell.tap)]
    start = next((n for n, cell in enumerate(cells) if block_of(cell.tap)), len(cells))
    return Map(
        before=[cells[index] for index in outside if index < start],
        after=[cells[index] for index in outside if index > start],
        layers=numbers,
        rows=[
            (_row_label(name), [by_place.get((name, number)) for number in numbers])
            for name in _in_order(rows)
        ],
    )


def _cell(row: Mapping[Any, Any], first: str | None) -> Cell:
    used = figure(row["used"])
    alone = verdict_alone(row)
    return Cell(
        tap=str(row["tap"] or ""),
        verdict=alone,
        share=None if used is None else 1.0 if math.isnan(used) else min(1.0, used),
        free_failed=row.get("verdict_free") == "FAIL",
        first=row["tap"] == first,
        tip=_tip(row, alone),
    )


def _tip(row: Mapping[Any, Any], alone: str) -> str:
    parts = [f"{short_name(row['tap'])}: {alone}"]
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
    return short_name(f"block{inside}") if inside == INPUT else short_name(inside.removeprefix("."))


def _in_order(rows: Sequence[str]) -> list[str]:
    """As executed; what a block is given first, its own result last."""
    return sorted(rows, key=lambda name: (name == "", name != INPUT))
