"""A matrix in characters: readable without colour, square in a row, wide enough to fit."""

import io

import numpy as np
import pytest
from rich.console import Console

from impl.demo import heat_text

SHARES = np.array([[1.0, 0, 0], [0.25, 0.75, 0], [0.05, 0.15, 0.8]])
LABELS = ["And", "_it", "_came"]


def printed(lines, **options):
    console = Console(file=io.StringIO(), width=80, **options)
    for line in lines:
        console.print(line, soft_wrap=True)
    return console.file.getvalue().splitlines()


def test_shades_grow_with_the_share_and_hidden_keys_are_marked():
    first, second, third = printed(heat_text.heat_rows([SHARES], LABELS, colour=False))
    assert first == "  And @@· · "
    assert second == "  _it ::##· "
    assert third == "_came   ..%%"


def test_no_escape_code_is_written_without_colour_and_a_background_with_it():
    plain = printed(heat_text.heat_rows([SHARES], LABELS, colour=False))
    assert "\x1b" not in "".join(plain)
    coloured = printed(
        heat_text.heat_rows([SHARES], LABELS, colour=True),
        force_terminal=True, color_system="256", no_color=False,
    )  # fmt: skip
    assert f"\x1b[48;5;{heat_text.RAMP[-1]}m" in coloured[0]
    assert f"\x1b[48;5;{heat_text.RAMP[0]}m" in coloured[2]


@pytest.mark.parametrize("levels", [2, 10, 13])
def test_every_level_is_reached_and_none_is_beyond(levels):
    found = [heat_text.level(value, levels) for value in np.linspace(0, 1, 1001)]
    assert found == sorted(found)
    assert set(found) == set(range(levels))
    assert heat_text.level(1.0000001, levels) == levels - 1


def test_matrices_side_by_side_fit_the_line():
    for size in (1, 3, 8, 24):
        count = heat_text.together(100, size, 6)
        maps = [np.tril(np.ones((size, size)))] * count
        lines = printed(heat_text.heat_rows(maps, ["token"] * size, colour=False))
        title = heat_text.titles([f"h.0 head {n}" for n in range(count)], size, 6)
        assert max(map(len, [title, *lines])) <= 100 or count == 1
    assert heat_text.together(10, 24, 6) == 1
