"""The picture of a whole tensor says what its rows, columns, borders and colours are."""

import base64

import numpy as np
import pytest

from reports.figures.whole import DECADES, whole
from reports.saved.artefacts import Artefacts

TAP = "transformer.h.1.attn.c_proj:input"


def kept(error, *, shape=(2, 3, 8), cell=(1, 1), heads=4, allowed=1e-6, case="given-2x3"):
    path = f"{case}/whole/{TAP}"
    values = {"error": error, "candidate": np.ones_like(error), "oracle": np.ones_like(error)}
    values |= {"shape": shape, "cell": cell, "heads": heads, "allowed": allowed}
    return {f"{path}/{name}": np.asarray(array) for name, array in values.items()}


def pictures(arrays, tap=TAP):
    return {one.label: one.figure for one in whole(Artefacts(arrays), {"tap": tap, "case": "x"})}


def shares(heat):
    return np.frombuffer(base64.b64decode(heat.data), "<u2").reshape(len(heat.rows), -1)


def test_there_are_three_pictures_each_of_all_tokens_and_features():
    found = pictures(kept(np.full((6, 8), 1e-3)))
    assert list(found) == ["error", "candidate", "float64"]
    assert {shares(heat).shape for heat in found.values()} == {(6, 8)}
    assert found["error"].rows[4] == "token 1 of row 1"
    assert found["error"].columns[5] == "feature 5, head 2"


def test_borders_of_heads_and_of_the_batchs_rows_are_marked():
    heat = pictures(kept(np.ones((6, 8))))["error"]
    assert heat.column_borders == [(0, "0"), (0.25, "1"), (0.5, "2"), (0.75, "3")]
    assert heat.row_borders == [(0, "row 0"), (0.5, "row 1")]


def test_a_cell_of_several_elements_is_said_to_be_their_largest():
    arrays = kept(np.ones((4, 4)), shape=(1, 7, 8), cell=(2, 2), heads=0, case="given-1x7")
    heat = pictures(arrays)["error"]
    assert heat.rows == ["tokens 0 to 1", "tokens 2 to 3", "tokens 4 to 5", "token 6"]
    assert "2 x 2 elements and shows the largest" in heat.aid
    assert heat.row_borders == heat.column_borders == []


def test_the_largest_error_is_on_the_scale_and_what_is_no_number_has_a_colour_of_its_own():
    error = np.full((6, 8), 1e-3)
    error[1, 2], error[3, 4] = np.inf, 1.0
    heat = pictures(kept(error))["error"]
    assert (heat.low, heat.high) == (1e6 / 10**DECADES, pytest.approx(1e6))
    assert shares(heat)[1, 2] == 65535
    assert shares(heat)[3, 4] == shares(heat)[shares(heat) < 65535].max()


def test_a_place_that_may_not_err_is_shown_in_its_own_unit():
    heat = pictures(kept(np.full((6, 8), 2e-3), allowed=0.0))["error"]
    assert heat.form == "number"
    assert heat.high == pytest.approx(1e-2)


def test_another_place_and_a_run_without_arrays_have_no_picture():
    assert pictures(kept(np.ones((6, 8))), "transformer.ln_f") == {}
    assert whole(Artefacts(), {"tap": TAP}) == []
    assert whole(Artefacts(kept(np.ones((6, 8)))), None) == []
