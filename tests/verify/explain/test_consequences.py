"""What is wrong only because an earlier place is."""

import numpy as np
import pytest

from tests.verify.explain.helpers import changed, failures
from verify.explain.consequences import following
from verify.faults.catalogue import catalogue


@pytest.mark.parametrize("name", ["pos_missing", "scale_missing", "gelu_erf"])
def test_what_follows_from_a_wrong_place_is_found(name, ordinary):
    """A candidate that shows everything but is cut nowhere inside."""
    fault = next(fault for fault in catalogue("float32") if fault.id == name)
    first, *others = failures([ordinary], [(fault, 0)])
    assert following(first, others) == others


def test_a_place_that_is_wrong_by_itself_does_not_follow(ordinary):
    tap = "transformer.h.1.ln_2:input"
    first = changed(ordinary, tap, 1.5 * ordinary.isolated[tap])
    own = changed(ordinary, "transformer.h.1.ln_2", 0.3 * ordinary.isolated["transformer.h.1.ln_2"])
    assert following(first, [own]) == []


def test_nothing_follows_in_another_block_or_another_case(ordinary, expectations):
    tap = "transformer.h.1.ln_2:input"
    first = changed(ordinary, tap, 1.5 * ordinary.isolated[tap])
    elsewhere = changed(ordinary, "transformer.h.2.ln_1", np.zeros((2, 33, 32)))
    other = expectations[0]
    later = changed(other, "transformer.h.1.ln_2", 0 * other.isolated["transformer.h.1.ln_2"])
    assert following(first, [elsewhere, later]) == []
