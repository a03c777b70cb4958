"""A matrix as characters: backgrounds of 256 colours in a terminal, plain shades elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

SHADES = " .:-=+*#%@"
"""From 0 to 1, where there is no colour: each is darker than the one before in usual fonts."""

RAMP = (16, 17, 18, 54, 90, 126, 162, 198, 204, 210, 216, 222, 229)
"""From 0 to 1: numbers of xterm's 256 colours, dark blue over red to pale yellow."""

CELL = 2
"""Characters of a cell, which is about square then."""

HIDDEN = "·"
"""A key that the mask hides."""

BETWEEN = 3
"""Characters between two matrices."""


def level(value: float, levels: int) -> int:
    """Which of so many steps from 0 to 1 a value is on."""
    return min(levels - 1, max(0, int(value * levels)))


def heat_rows(matrices: Sequence[Array], labels: Sequence[str], *, colour: bool) -> list[Text]:
    """Square matrices side by side, a line for each of their rows.

    Args:
        matrices: `[query, key]` of the same size, from 0 to 1, lower triangular.
        labels: of the rows; they stand at the left.
        colour: whether cells are coloured.
    """
    width = max(map(len, labels))
    lines = []
    for query, label in enumerate(labels):
        line = Text(f"{label:>{width}} ")
        for number, matrix in enumerate(matrices):
            line.append(" " * BETWEEN if number else "")
            for key, value in enumerate(matrix[query]):
                line.append(*_cell(float(value), colour=colour, hidden=key > query))
        lines.append(line)
    return lines


def _cell(value: float, *, colour: bool, hidden: bool) -> tuple[str, str]:
    """A cell's characters and its style."""
    if hidden:
        return f"{HIDDEN:<{CELL}}", "dim" if colour else ""
    if colour:
        return " " * CELL, f"on color({RAMP[level(value, len(RAMP))]})"
    return SHADES[level(value, len(SHADES))] * CELL, ""


def titles(names: Sequence[str], size: int, indent: int) -> str:
    """A line with a name above each matrix.

    Args:
        names: of the matrices.
        size: columns of each.
        indent: characters before the first.
    """
    wide = size * CELL
    return " " * indent + (" " * BETWEEN).join(f"{name[:wide]:<{wide}}" for name in names)


def together(columns: int, size: int, indent: int) -> int:
    """How many matrices fit side by side; at least one."""
    return max(1, (columns - indent + BETWEEN) // (size * CELL + BETWEEN))


def key(*, colour: bool) -> Text:
    """What the shades mean."""
    if not colour:
        return Text(f"shades from 0 to 1: [{SHADES}]; {HIDDEN} ahead of the token, hidden")
    line = Text("0 ")
    for number in RAMP:
        line.append(" ", f"on color({number})")
    return line.append(f" 1; {HIDDEN} ahead of the token, hidden")
