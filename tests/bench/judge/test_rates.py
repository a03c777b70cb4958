"""A rate has an interval, which knows which outcomes belong together."""

import numpy as np
import pytest
from scipy import stats

from bench.judge.rates import design_effect, rate


def test_independent_outcomes_have_the_interval_of_clopper_and_pearson():
    outcomes = [n < 10 for n in range(200)]
    found = rate(outcomes, range(200))
    expected = stats.binomtest(10, 200).proportion_ci()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.01)
    assert str(found) == "5.0% [2.4%, 9.0%]"


@pytest.mark.parametrize("value", [True, False])
def test_outcomes_that_are_all_alike_have_an_interval_with_one_open_end(value):
    found = rate([value] * 20, [0] * 10 + [1] * 10)
    assert (found.low, found.high)[not value] == pytest.approx(float(value) or 0.0, abs=0.17)
    assert found.value == value


def test_groups_that_differ_more_than_by_chance_widen_it():
    outcomes = [True] * 10 + [False] * 90
    apart = rate(outcomes, np.repeat(range(10), 10))
    mixed = rate(outcomes[::10] * 10, np.repeat(range(10), 10))
    assert apart.effect > 5
    assert mixed.effect == 1
    assert apart.high - apart.low > mixed.high - mixed.low


def test_one_group_tells_nothing_of_how_groups_differ():
    assert design_effect([True, False], [0, 0]) == 1
