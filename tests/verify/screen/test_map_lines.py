"""The map of a model in the terminal fits, and reads without colour, however many blocks it has."""

import pytest

from reports.figures.model_map import Cell, Map
from verify.screen.map_lines import map_lines

PLACES = ("ln_1 ←", "attn.c_attn", "mlp.c_proj", "block")


def cell(place, layer, **changes):
    tap = f"transformer.h.{layer}.{place}"
    return Cell(**{"tap": tap, "verdict": "PASS", "share": 0.45} | changes)


def model(blocks, wrong=None, **changes):
    """A map of so many blocks; one place of one block is changed."""
    rows = [(place, [cell(place, layer) for layer in range(blocks)]) for place in PLACES]
    if wrong is not None:
        rows[1][1][wrong] = cell(PLACES[1], wrong, **changes)
    after = [Cell("transformer.ln_f", "PASS", 0.49), Cell("lm_head", "PASS", 0.5)]
    return Map(after=after, layers=list(range(blocks)), rows=rows)


def shown(found, width=100):
    return [line.plain for line in map_lines(found, width)]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("blocks", [1, 2, 6, 12, 24, 36, 48, 96, 126])
def test_it_is_never_wider_than_the_terminal_and_has_a_row_for_each_place(blocks, width):
    lines = shown(model(blocks, blocks // 2, verdict="FAIL", share=1.0, first=True), width)
    assert max(map(len, lines)) <= width
    assert [line[: len(name)] for line, name in zip(lines[1:5], PLACES, strict=True)] == [*PLACES]


@pytest.mark.parametrize("blocks", [2, 12, 24, 36, 48, 96])
def test_what_fails_is_one_cell_that_no_figure_looks_like(blocks):
    right, wrong = shown(model(blocks)), shown(model(blocks, 1, verdict="FAIL", share=1.0))
    differ = [(a, b) for a, b in zip(right[1:], wrong[1:], strict=False) if a != b]
    row = next(b for a, b in differ if b.startswith("attn.c_attn"))
    assert row.count("FAIL") + row.count("X") == 1
    assert any("fails alone" in line for line in wrong)
    assert not any("FAIL" in line or "X" in line for line in right)


def test_few_blocks_have_percent_and_many_the_tenths():
    assert shown(model(6))[2] == f"attn.c_attn {'   45%' * 6}"
    assert shown(model(24))[2] == f"attn.c_attn {' 45' * 24}"
    assert shown(model(48))[2] == f"attn.c_attn {'4' * 48}"
    assert shown(model(48))[-1].startswith("tenths of the allowed error")


def test_where_blocks_are_more_than_columns_a_column_is_the_worst_of_a_few():
    lines = shown(model(96, 41, verdict="FAIL", share=1.0))
    assert lines[2] == f"attn.c_attn {'4' * 20}X{'4' * 27}"
    assert "a column is the worst of 2 blocks" in " ".join(lines)


def test_the_first_divergence_is_marked():
    lines = shown(model(6, 2, verdict="FAIL", share=1.0, first=True))
    assert lines[2] == "attn.c_attn    45%   45% >FAIL   45%   45%   45%"
    assert ">: the first divergence" in " ".join(lines)


def test_a_place_that_only_earlier_ones_make_wrong_keeps_its_figure():
    lines = shown(model(6, 2, free_failed=True))
    assert lines[2].split() == ["attn.c_attn", "45%", "45%", "45%*", "45%", "45%", "45%"]
    assert "*: right alone, wrong after earlier places" in " ".join(lines)
    assert shown(model(48, 2, free_failed=True))[2] == f"attn.c_attn 44*{'4' * 45}"


def test_a_place_that_a_block_lacks_and_one_without_a_figure_are_told_apart():
    found = model(2, 1, share=None)
    found.rows[0][1][0] = None
    lines = shown(found)
    assert lines[1].split() == ["ln_1", "←", ".", "45%"]
    assert lines[2].split() == ["attn.c_attn", "45%", "-"]


def test_nothing_that_passes_reads_as_a_hundred_percent_where_figures_would_touch():
    found = model(24, 3, share=0.999)
    assert shown(found)[2].split()[4] == "99"


def test_rows_of_many_experts_are_one():
    rows = [(f"mlp.experts.{n}.up", [cell("up", 0, share=n / 100)]) for n in range(64)]
    lines = shown(Map(layers=[0], rows=rows))
    assert lines[1].split() == ["mlp.experts.*.up", "63%"]
    assert len(lines) == 3


def test_places_outside_blocks_are_enough_and_no_places_are_no_lines():
    assert shown(Map(after=[Cell("lm_head", "PASS", 0.5)]))[0].split() == ["lm_head", "50%"]
    assert shown(Map()) == []
