"""The model as a map in the terminal: blocks side by side, a row for each place.

Each cell is the worst case of a place: the share of the allowed error in percent, or, where blocks
are many, its first digit. What fails is a word or a letter, so that the map reads without colour.
It is the map of the page (`reports.figures.model_map`), in letters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from reference.taps import short_name
from verify.screen.colours import WRONG, of_share, of_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reports.figures.model_map import Cell, Map

WIDEST = 6
"""Columns of a block at most."""

PERCENT, NUMBER = 4, 3
"""Columns that a block needs for `45%`, and for `45`; with fewer it has one digit, the tenths."""

WORD = 5
"""Columns that a block needs for `FAIL`; with fewer it has one letter."""

WORDS = {"FAIL": ("FAIL", "X"), "ERROR": ("ERR", "E"), "SKIP": ("skip", "s")}
"""Verdicts as a cell has them, wide and narrow."""

MEANINGS = {"FAIL": "fails alone", "ERROR": "cannot be judged", "SKIP": "not judged"}

FREE = "*"
"""Marks a place that is right alone, and fails after all earlier ones."""

MOST_ROWS = 30
"""Rows of blocks; of more, those that differ in a number alone are one: experts, for example."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How blocks share the width.

    Attributes:
        label: columns for the names of places.
        cell: columns of a block, or of several.
        together: how many blocks a cell stands for.
    """

    label: int
    cell: int
    together: int

    @classmethod
    def of(cls, labels: Iterable[str], blocks: int, width: int) -> Layout:
        """The widest cells with which a map fits."""
        label = max((len(text) + 1 for text in labels), default=0)
        room = max(1, width - label)
        together = -(-blocks // room) if blocks else 1
        cells = max(1, -(-blocks // together))
        return cls(label, max(1, min(WIDEST, room // cells)), together)


def map_lines(found: Map, width: int) -> list[Text]:
    """The map, a line for each place, with a line of block numbers above and a legend below.

    Args:
        found: as `reports.figures.model_map.place_map` lays it out.
        width: columns of the terminal.

    Returns:
        No lines where there are no places.
    """
    rows = _few_rows(found.rows)
    outside = [short_name(cell.tap) for cell in (*found.before, *found.after)]
    layout = Layout.of([*(name for name, _ in rows), *outside], len(found.layers), width)
    if not rows and not outside:
        return []
    blocks = [_row(name, _together(cells, layout.together), layout) for name, cells in rows]
    return [
        *_numbers(found.layers, layout),
        *(_alone(cell, layout) for cell in found.before),
        *blocks,
        *(_alone(cell, layout) for cell in found.after),
        *(Text(line, "dim") for line in _legend(found, layout, width)),
    ]


def _numbers(layers: Sequence[int], layout: Layout) -> Iterator[Text]:
    """Numbers of blocks, as many as there is room for, each at its block's last column."""
    firsts = layers[:: layout.together]
    if not firsts:
        return
    every = next(n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n * layout.cell > len(str(firsts[-1])))
    line = [" "] * (len(firsts) * layout.cell)
    for index, number in enumerate(firsts):
        text = str(number)
        end = (index + 1) * layout.cell
        if index % every == 0 and end >= len(text):
            line[end - len(text) : end] = text
    yield Text(f"{'block':{layout.label}}{''.join(line)}".rstrip(), "bold")


def _row(name: str, cells: Sequence[Cell | None], layout: Layout) -> Text:
    line = Text(f"{name:{layout.label}}")
    for cell in cells:
        text, style = _written(cell, layout.cell)
        line.append(" " * (layout.cell - len(text)))
        line.append(text, style)
    return line


def _alone(cell: Cell, layout: Layout) -> Text:
    """A place outside the blocks."""
    text, style = _written(cell, WIDEST)
    room = max(layout.cell, len(text) + 1)
    line = Text(f"{short_name(cell.tap):{layout.label}}")
    return line.append(" " * (room - len(text))).append(text, style)


def _written(cell: Cell | None, width: int) -> tuple[str, str]:
    """A cell's text and its colour."""
    if cell is None:
        return ".", "dim"
    if cell.verdict != "PASS":
        text = _word(cell)[width < WORD]
        mark = ">" if cell.first and width > len(text) else ""
        wrong = cell.verdict in ("FAIL", "ERROR")
        return f"{mark}{text}", WRONG if wrong else of_verdict(cell.verdict)
    text = "-" if cell.share is None else _figure(cell.share, width - cell.free_failed)
    if cell.free_failed:
        return (f"{text}{FREE}" if width >= PERCENT else FREE), "red"
    return text, "dim" if cell.share is None else of_share(cell.share)


def _word(cell: Cell) -> tuple[str, str]:
    """What a cell that does not pass says in place of a figure, wide and narrow."""
    return WORDS.get(cell.verdict, (cell.verdict[:4].lower(), "?"))


def _figure(share: float, width: int) -> str:
    """A share of the allowed error as exactly as there is room for."""
    if width < NUMBER:
        return str(min(9, int(10 * share)))
    number = round(100 * share)
    if width < WORD:  # three digits would touch the next block's
        number = min(99, number)
    return f"{number}%" if width >= PERCENT else str(number)


def _together(cells: Sequence[Cell | None], count: int) -> list[Cell | None]:
    """The worst of each few neighbours."""
    return [_worst(cells[at : at + count]) for at in range(0, len(cells), count)]


def _worst(cells: Sequence[Cell | None]) -> Cell | None:
    return max((cell for cell in cells if cell), key=_gravity, default=None)


def _gravity(cell: Cell) -> tuple[bool, bool, bool, float]:
    wrong = cell.verdict not in ("PASS", "SKIP")
    return cell.first, wrong, cell.free_failed, cell.share or 0.0


def _few_rows(
    rows: Sequence[tuple[str, list[Cell | None]]],
) -> Sequence[tuple[str, Sequence[Cell | None]]]:
    """The rows; of very many, those that differ in a number alone as one, the worst of them."""
    if len(rows) <= MOST_ROWS:
        return rows
    alike: dict[str, list[list[Cell | None]]] = {}
    for name, cells in rows:
        alike.setdefault(re.sub(r"(?<![^.])\d+(?![^.])", "*", name), []).append(cells)
    return [
        (name, [_worst(one) for one in zip(*group, strict=True)]) for name, group in alike.items()
    ]


def _legend(found: Map, layout: Layout, width: int) -> list[str]:
    """What the map's figures and words mean, those that are there."""
    cells = [*found.before, *found.after, *(cell for _, row in found.rows for cell in row if cell)]
    figures = "percent" if layout.cell >= NUMBER or not found.layers else "tenths"
    parts = [f"{figures} of the allowed error, each place alone in its worst case"]
    if layout.together > 1:
        parts.append(f"a column is the worst of {layout.together} blocks")
    narrow = layout.cell < WORD and bool(found.layers)
    words = {_word(cell)[narrow]: MEANINGS.get(cell.verdict, cell.verdict) for cell in cells
             if cell.verdict != "PASS"}  # fmt: skip
    parts += [f"{word}: {text}" for word, text in words.items()]
    if any(cell.first for cell in cells) and layout.cell > 1:
        parts.append(">: the first divergence")
    if any(cell.free_failed and cell.verdict == "PASS" for cell in cells):
        parts.append(f"{FREE}: right alone, wrong after earlier places")
    return wrap("; ".join(parts), width)
