"""The table of all twelve steps."""

import json
from pathlib import Path

import pytest

from tests.conforming import file_misfits
from verify.steps.course import STEPS
from verify.steps.progress import find, main
from verify.steps.skeletons import skeleton

COMPONENTS = Path(__file__).parent / "impl_components.py"


def test_the_table_counts_what_is_done_and_one_that_hangs_costs_its_own_row(tmp_path, capsys):
    (tmp_path / "step_01.py").write_text("while True:\n    pass\n")
    (tmp_path / "step_04.py").write_text(skeleton(STEPS[3]))
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
