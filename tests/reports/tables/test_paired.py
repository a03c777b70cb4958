"""Ratios to MAX are read from records, and old records have those that they can have."""

import pytest

from reports.tables.paired import Cell, said, standings, strength, word
from tests.reports.beside import pair, prompt, row, run


def effect(arm, ratio, verdict, versus="torch"):
    return pair(arm, ratio, verdict, versus=versus) | {"record": "effect"}


def cells_of(records):
    (standing,) = standings(records)
    return {arm: cell for (arm, _), cell in standing.cells.items()}


def test_what_is_said_of_the_arm_is_turned_round_for_max():
    cells = cells_of(run(torch=2.0, openvino=0.5, onnxruntime=1.05))
    assert {arm: cell.says for arm, cell in cells.items()} == {
        "torch": "faster", "openvino": "slower", "onnxruntime": "open",
    }  # fmt: skip
    assert cells["torch"].text == "2 [1.818, 2.2]"
    assert cells["torch"].inverse.text == "0.5 [0.455, 0.55]"


def test_in_old_records_the_baselines_ratio_to_max_is_a_reciprocal():
    """And of other arms there is none: two ratios are never divided."""
    rows = [row(arm) for arm in ("max", "torch", "openvino")]
    cells = cells_of([*rows, effect("max", 0.5, "FASTER"), effect("openvino", 0.8, "FASTER")])
    assert cells["torch"].says == "faster"
    assert cells["torch"].ratio == pytest.approx(2)
    assert (cells["torch"].low, cells["torch"].high) == pytest.approx((1 / 0.55, 1.1 / 0.5))
    assert cells["openvino"].ratio is None
    assert cells["openvino"].reason == "these records have no ratio of this pair"


def test_old_records_without_max_have_their_effects_as_they_are():
    cells = cells_of([row("torch"), row("openvino"), effect("openvino", 0.8, "FASTER")])
    assert cells["openvino"].ratio == pytest.approx(0.8)


def test_pairs_go_before_effects():
    records = [*run(torch=2.0), effect("max", 0.9, "FASTER")]
    assert cells_of(records)["torch"].ratio == 2.0


def test_a_cell_without_a_ratio_says_whose_fault_it_is():
    own = row("max", status="INVALID", reason="not verified")
    cells = cells_of([own, row("torch"), row("openvino", status="SKIP", reason="not installed")])
    assert (cells["torch"].status, cells["torch"].reason) == ("INVALID", "MAX: not verified")
    assert (cells["openvino"].status, cells["openvino"].reason) == ("SKIP", "not installed")
    assert cells["openvino"].text == "SKIP"
    assert said(cells["openvino"], "openvino", "max", "pp8") == "pp8, OpenVINO: not installed"


def test_competitions_do_not_mix():
    other = [record | {"threads": 1} for record in run(prompt(8), torch=3.0)]
    one, two = standings([*run(torch=2.0), *other])
    assert (one.place[2], two.place[2]) == (2, 1)
    assert one.workloads == ["tg16 @ d32"]
    assert two.workloads == ["pp8"]


def test_colours_grow_with_the_ratio_to_a_factor_of_two():
    assert strength(Cell("faster", 1.0)) == 0
    assert strength(Cell("faster", 1.2)) < strength(Cell("slower", 0.6)) < 1
    assert strength(Cell("faster", 2.0)) == strength(Cell("slower", 0.1)) == 1
    assert strength(Cell("none")) == 0


def test_words_do_not_depend_on_colours():
    said_of = {says: word(Cell(says, 1.5), "max") for says in ("faster", "slower", "same", "open")}
    assert said_of == {
        "faster": "MAX faster", "slower": "MAX slower", "same": "the same",
        "open": "not conclusive",
    }  # fmt: skip
