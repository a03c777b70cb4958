import numpy as np
import pytest

from tests.verify.explain.helpers import changed
from verify.faults.catalogue import catalogue
from verify.faults.planted import Planted

EVERY = catalogue("float32")
SHOWN = [f for f in EVERY if "{layer}" in f.tap and f.fits(np.zeros((2, 33)), n_positions=48)]
TAP = "transformer.h.1.mlp.act"


@pytest.mark.parametrize("fault", SHOWN, ids=[fault.id for fault in SHOWN])
def test_what_is_not_asked_for_is_left_out_and_changes_nothing(fault, ordinary):
    tap = fault.blamed(1)
    failure = changed(ordinary, tap, ordinary.isolated[tap])
    with np.errstate(all="ignore"):
        whole = Planted(ordinary.oracle, fault, 1).stage(
            tap, ordinary.case.ids, ordinary.isolated, ordinary.given
        )
    assert np.array_equal(failure.variant(fault, 1), whole[tap], equal_nan=True)


def test_a_variant_explains_what_it_computes_and_nothing_else(ordinary):
    truth = ordinary.isolated[TAP]
    failure = changed(ordinary, TAP, 1.5 * truth)
    assert failure.explained_by(1.5 * truth)
    assert failure.explained_by(1.5 * truth * (1 + 1e-7))
    assert not failure.explained_by(1.49 * truth)
    assert not failure.explained_by(truth)
    assert not failure.explained_by(None)
    assert not failure.explained_by(1.5 * truth[:1])


def test_what_is_nan_must_be_nan_in_the_same_places(ordinary):
    found = 1.5 * ordinary.isolated[TAP]
    found[0, 3] = np.nan
    failure = changed(ordinary, TAP, found)
    assert failure.explained_by(found)
    elsewhere = 1.5 * ordinary.isolated[TAP]
    elsewhere[0, 4] = np.nan
    assert not failure.explained_by(elsewhere)
    assert not failure.explained_by(np.where(np.isnan(found), np.nan, 1.4 * found))


def test_a_fault_that_an_input_is_too_small_to_show_is_not_planted_in_it(expectations):
    (token,) = [e for e in expectations if e.case.ids.size == 1 and e.case.regime == "perturbed"]
    rows = next(fault for fault in EVERY if fault.id == "rows_over_8")
    tap = rows.blamed(1)
    failure = changed(token, tap, 2 * token.isolated[tap])
    assert failure.variant(rows, 1) is None
    assert failure.variant(rows, None) is None


def test_work_is_counted(ordinary):
    failure = changed(ordinary, TAP, 2 * ordinary.isolated[TAP])
    before = failure.budget.left
    failure.variant(SHOWN[0], 1)
    alone = before - failure.budget.left
    failure.variant(SHOWN[0], None)
    assert 0 < alone < before - alone - failure.budget.left
