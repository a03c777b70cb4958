"""Where a line steps, and the noise that it lies in between."""

from itertools import pairwise

import numpy as np
import pytest

from reports.history.entries import Point
from reports.history.steps import LEAST, deviation, levels

NOISE = 0.01


def line(logarithms, width=0.02):
    return [
        Point(run, value, value * (1 - width), value * (1 + width))
        for run, value in enumerate(np.exp(logarithms))
    ]


def steps(points):
    """The last run before each step, and the first after it."""
    return [(old.points[-1], new.points[0]) for old, new in pairwise(levels(points))]


def scatter(count, seed=0):
    return NOISE * np.random.default_rng(seed).standard_normal(count)


def test_equal_code_hardly_ever_steps():
    """The rate for 200 lines of 100 runs; two in a row beyond three deviations are rare."""
    found = sum(len(steps(line(scatter(100, seed)))) for seed in range(200))
    assert found <= 4  # 20,000 runs


@pytest.mark.parametrize("change", [0.08, -0.08])
def test_a_change_of_eight_deviations_is_found_where_it_is(change):
    exact = 0
    for seed in range(100):
        values = scatter(60, seed)
        values[30:] += change
        found = [after.run for _, after in steps(line(values))]
        exact += 30 in found
        assert any(abs(run - 30) <= 2 for run in found)
    assert exact >= 90


def test_a_run_that_is_alone_is_no_step():
    values = scatter(40)
    values[20] += 0.5
    assert steps(line(values)) == []


def test_the_newest_run_is_told_at_once():
    values = scatter(40)
    values[-1] += 0.5
    assert [after.run for _, after in steps(line(values))] == [39]


def test_a_run_that_is_less_certain_than_others_needs_a_larger_change():
    values = scatter(40)
    values[-1] += 0.06
    points = line(values)
    assert len(steps(points)) == 1
    last = points[-1]
    points[-1] = Point(last.run, last.value, last.value * 0.8, last.value * 1.2)
    assert steps(points) == []


def test_wide_intervals_alone_do_not_hide_a_step():
    """What runs differ by tells the noise; a few processes give intervals far wider than that."""
    values = scatter(60)
    values[30:] += 0.08
    assert len(steps(line(values, width=0.2))) == 1


def test_a_step_does_not_widen_the_noise():
    values = scatter(200)
    flat = deviation(values)
    values[100:] += 1.0
    assert deviation(values) == pytest.approx(flat, rel=0.02)
    assert flat == pytest.approx(NOISE, rel=0.2)


def test_the_band_is_three_deviations_around_each_level():
    values = scatter(100)
    values[50:] += 0.2
    first, second = levels(line(values))
    for level, middle in ((first, 1.0), (second, np.exp(0.2))):
        assert level.middle == pytest.approx(middle, rel=0.01)
        assert np.log(level.high / level.low) == pytest.approx(6 * NOISE, rel=0.25)


@pytest.mark.parametrize(("width", "found"), [(0.02, 1), (0.3, 0)])
def test_few_runs_are_compared_by_their_intervals(width, found):
    values = [0.0] * 3 + [0.2] * (LEAST - 4)
    assert len(steps(line(values, width))) == found
    assert all(level.low is None for level in levels(line(values, width)))
