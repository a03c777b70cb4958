"""The table of all steps."""

import json
from pathlib import Path

import pytest

from tests.conforming import file_misfits
from verify.steps.course import STEPS
from verify.steps.lessons import lesson
from verify.steps.progress import find, main

COMPONENTS = Path(__file__).parent / "impl_components.py"


def test_the_table_counts_what_is_done_and_one_that_hangs_costs_its_own_row(tmp_path, capsys):
    (tmp_path / "step_01.py").write_text("while True:\n    pass\n")
    (tmp_path / "step_04.py").write_text("def GPT2MLP(config):\n    ...\n")
    (tmp_path / "step_12.py").write_text(COMPONENTS.read_text())
    assert main([str(tmp_path), "--time-limit", "10", "--json", str(tmp_path / "out.json")]) == 1
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "1 of 12 steps done" in shown
    assert "#####" in shown
    assert "python -m verify step 2 --scaffold" in shown
    report = json.loads((tmp_path / "out.json").read_text())
    assert file_misfits("steps", tmp_path / "out.json") == []
    steps = {step["step"]: step for step in report["steps"]}
    assert steps[1]["verdict"] == "ERROR"
    assert "took more than 10 s (--time-limit)" in steps[1]["reason"]
    assert steps[4]["verdict"] == "FAIL"
    assert steps[12]["verdict"] == "PASS"


def test_a_file_is_found_by_the_first_number_in_its_name(tmp_path):
    for name in ("step_07.py", "11_head.py", "notes.py"):
        (tmp_path / name).touch()
    assert find(STEPS[6], tmp_path) == tmp_path / "step_07.py"
    assert find(STEPS[10], tmp_path) == tmp_path / "11_head.py"
    assert find(STEPS[0], tmp_path) is None


def test_what_comes_after_the_model_is_found_by_its_class_alone(tmp_path):
    """Other books have other things there."""
    (tmp_path / "step_13.py").write_text("def streaming():\n    return 1\n")
    assert find(STEPS[12], tmp_path) is None
    (tmp_path / "step_15.py").write_text(lesson(13).solution)
    assert find(STEPS[12], tmp_path) == tmp_path / "step_15.py"


def test_a_step_that_goes_further_counts_where_it_is_there(tmp_path, capsys):
    for number in (12, 13):
        (tmp_path / f"step_{number:02}.py").write_text(lesson(number).solution)
    assert main([str(tmp_path)]) == 1
    assert "1 of 12 steps done, and 1 of 2 that go further" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder nowhere"),
        ([".", "--json", "nowhere/out.json"], "--json: there is no folder nowhere"),
    ],
)
def test_bad_usage_is_one_sentence(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
