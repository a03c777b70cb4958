"""A result says what the run found, and can be asked whether it passed."""

import dataclasses
import math
import subprocess
import sys

import pytest

from verify.api import MaxParityError
from verify.api.judgement import result_of


def test_a_model_that_is_right_is_true(right):
    assert right
    assert right.verdict == "PASS"
    assert right.first_divergence is None
    assert right.diagnosis is None
    assert not right.compiled
    assert right.page.is_file()
    assert str(right).startswith("PASS, not compiled: own_names.py:MyGPT, tiny\nReport: ")


def test_a_model_that_is_wrong_is_false_and_says_where_and_what(wrong, folder):
    assert not wrong
    first = wrong.first_divergence
    assert first.place == "transformer.h.3.mlp.act"
    assert first.blamed_on == "graph"
    assert first.file == folder / "gelu_erf.py"
    assert "gelu" in first.file.read_text().splitlines()[first.line - 1]
    assert "erf" in wrong.diagnosis
    for part in (first.message, wrong.diagnosis, str(wrong.page)):
        assert part in str(wrong)
        assert part in repr(wrong)
    assert "\n" not in repr(wrong)


def test_the_table_has_a_row_for_each_place_in_order_of_execution(wrong):
    table = wrong.table.set_index("place")
    assert list(table.index[:2]) == ["transformer:input", "transformer.wte:input"]
    assert table.index[-1] == "lm_head"
    failed = table[table["verdict"] == "FAIL"]
    assert list(failed.index) == ["transformer.h.3.mlp.act"]
    assert failed["used"].item() > 1 > table.drop(failed.index)["used"].max()
    assert failed["error"].item() > 0
    assert table.loc["lm_head", "used_free"] > 1  # what comes after it runs on its error


def test_a_place_without_counterpart_is_excused_with_a_reason(right):
    assert "transformer.h.0.mlp.act" in right.excused
    assert "transformer.h.0.mlp.act" not in set(right.table["place"])


def test_a_result_cannot_be_changed(right):
    with pytest.raises(dataclasses.FrozenInstanceError):
        right.verdict = "FAIL"


def test_figures_that_are_not_finite_are_numbers_again():
    check = {"mode": "math", "tap": "h", "verdict": "FAIL", "case": "one", "shape": [1, 2],
             "rms": "nan", "torch_rms": None, "used": "inf", "message": "not finite"}  # fmt: skip
    told = {"verdict": "FAIL", "first_divergence": None, "run": "run", "compiled": False,
            "checks": [check], "coverage": {"excused": []}}  # fmt: skip
    row = result_of("m.py:M", "tiny", told).table.iloc[0]
    assert math.isnan(row["error"])
    assert math.isnan(row["torch_error"])
    assert row["used"] == math.inf


def test_no_verdict_is_an_error_with_the_reason_and_the_place():
    told = {"verdict": "ERROR", "reason": "why", "checks": [], "place": {"file": "m.py", "line": 3}}
    with pytest.raises(MaxParityError, match=r"^why$") as raised:
        result_of("m.py:M", "tiny", told)
    assert raised.value.place == ("m.py", 3)
    told = {"verdict": "ERROR", "checks": [{"verdict": "ERROR", "message": "in a check"}]}
    with pytest.raises(MaxParityError, match="in a check"):
        result_of("m.py:M", "tiny", told)


def test_nothing_heavy_is_imported():
    source = (
        "import sys, verify.api; "
        "assert not {'max', 'torch', 'pandas', 'numpy', 'pytest', 'reports'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)
