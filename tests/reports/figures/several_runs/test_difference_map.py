"""Three maps of two runs lie on one grid, and the third says what became of each place."""

import pytest

from reports.figures.model_map import Cell
from reports.figures.several_runs.difference_map import MARKS, three_maps
from reports.tables.changes import Both, Change

TAPS = ("transformer.h.0.ln_1", "transformer.h.0.mlp.act", "transformer.h.1.mlp.act", "lm_head")


def cells(*taps):
    return [Cell(tap, "PASS", 0.4) for tap in taps]


def change(tap, a=1e-8, b=1e-8, verdicts=("PASS", "PASS"), mode="isolated"):
    first, second = ({"rms": rms, "max_abs": rms, "shape": [1], "verdict": verdict}
                     for rms, verdict in zip((a, b), verdicts, strict=True))  # fmt: skip
    return Change(tap, mode, (Both("given-1x9", first, second),))


def shift(maps, tap):
    found = maps.difference
    inside = [cell for _, row in found.rows for cell in row if cell]
    return next(cell for cell in (*found.before, *inside, *found.after) if cell.tap == tap)


def drawn(alone, free=(), one=TAPS, other=TAPS):
    by_tap = [{c.tap: c for c in found} for found in (alone, free)]
    return three_maps(cells(*one), cells(*other), *by_tap)


def test_a_worse_place_is_positive_and_a_better_one_negative():
    maps = drawn([change(TAPS[0], b=2e-8), change(TAPS[1], b=5e-9), change(TAPS[3])])
    assert maps.reach == 1.0
    assert [shift(maps, tap).change for tap in (TAPS[0], TAPS[1], TAPS[3])] == [1.0, -1.0, 0.0]
    assert [shift(maps, tap).words for tap in (TAPS[0], TAPS[3])] == ["+1", ""]


def test_a_place_that_breaks_is_marked_and_does_not_stretch_the_scale():
    maps = drawn([change(TAPS[0], b=1.05e-8), change(TAPS[1], b=1e3, verdicts=("PASS", "FAIL"))])
    assert maps.reach == 0.1
    assert (shift(maps, TAPS[1]).mark, shift(maps, TAPS[1]).change) == ("broken", 1.0)
    assert "fails now in given-1x9" in shift(maps, TAPS[1]).tip


def test_marks_are_those_that_are_shown():
    alone = [change(TAPS[0], verdicts=("FAIL", "PASS")), change(TAPS[1])]
    free = [change(TAPS[1], verdicts=("PASS", "FAIL"), mode="free")]
    maps = drawn(alone, free)
    assert shift(maps, TAPS[1]).mark == "free"
    assert maps.marks == ["mended", "free"]
    assert set(maps.marks) <= set(MARKS)


def test_all_three_have_one_grid_where_a_run_lacks_a_place():
    maps = drawn([change(TAPS[0])], one=TAPS[:2] + TAPS[3:], other=TAPS)
    shapes = {(tuple(m.layers), tuple(name for name, _ in m.rows), len(m.after))
              for m in (maps.one, maps.other, maps.difference)}  # fmt: skip
    assert len(shapes) == 1
    lacking = dict(maps.one.rows)["mlp.act"][1]
    assert (lacking.verdict, "not compared" in lacking.tip) == ("NONE", True)


def test_without_a_common_place_there_is_no_third_map():
    assert drawn([]).difference is None


@pytest.mark.parametrize(("b", "words"), [(1.2e-8, "+.3"), (8e-9, "−.3"), (2**38 * 1e-8, "+38")])  # noqa: RUF001
def test_a_cell_has_room_for_three_characters(b, words):
    assert shift(drawn([change(TAPS[0], b=b)]), TAPS[0]).words == words


def test_an_error_that_was_zero_is_told_in_figures():
    tip = shift(drawn([change(TAPS[0], a=0.0, b=3e-8)]), TAPS[0]).tip
    assert "from 0.00e+00 to 3.00e-08" in tip
