"""The median and the ratio find what is there, and claim nothing where there is nothing."""

import math

import numpy as np
import pytest

from bench.judge.statistics import (
    FEWEST_QUADS,
    effective_count,
    median_time,
    percentile,
    ratio_of,
    time_ratio,
    turns,
)


def arm(times):
    """Quads from a list of pairs."""
    return dict(enumerate(times))


def noisy(rng, quads, factor=1.0, drift=None):
    """Times about 10 ms with 10% noise; `drift` is shared by arms of one quad."""
    drift = np.ones(quads) if drift is None else drift
    noise = np.exp(0.1 * rng.standard_normal((quads, 2)))
    return arm((0.01 * factor * drift[:, None] * noise).tolist())


def test_a_turn_is_the_median_of_its_calls():
    samples = [
        {"quad": 0, "block": block, "time_ns": ns, "clean": block == 0}
        for block, calls in [(0, (9_000_000, 1_000_000, 2_000_000)), (1, (4_000_000,))]
        for ns in calls
    ]
    assert turns(samples) == {0: [0.002, 0.004]}
    assert turns(samples, clean_only=True) == {0: [0.002]}


def test_the_ratio_of_equal_arms_is_one():
    rng = np.random.default_rng(0)
    ratio = time_ratio(noisy(rng, 50), noisy(rng, 50))
    assert ratio.low < 1 < ratio.high
    assert ratio.quads == 50


def test_a_ratio_is_found_through_a_drift_that_both_arms_share():
    rng = np.random.default_rng(1)
    drift = np.exp(np.cumsum(rng.standard_normal(60)) / 2)
    ratio = time_ratio(noisy(rng, 60, 0.5, drift), noisy(rng, 60, 1.0, drift))
    assert ratio.value == pytest.approx(0.5, rel=0.08)
    assert ratio.low < 0.5 < ratio.high
    assert ratio.high / ratio.low < 1.15


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(150):
        ratio = time_ratio(noisy(rng, 20), noisy(rng, 20))
        covered += ratio.low <= 1 <= ratio.high
    assert 0.85 <= covered / 150 <= 0.99


def test_swapping_the_arms_inverts_the_ratio():
    rng = np.random.default_rng(3)
    first, second = noisy(rng, 10), noisy(rng, 10, 3.0)
    ratio, inverse = time_ratio(first, second), time_ratio(second, first)
    assert ratio.value * inverse.value == pytest.approx(1)
    assert ratio.low * inverse.high == pytest.approx(1, rel=0.02)


def test_only_quads_that_are_complete_in_both_arms_count():
    whole, torn = arm([[1.0, 1.0], [1.0, 1.0]]), arm([[2.0, 2.0], [9.0]])
    ratio = time_ratio(whole, torn)
    assert (ratio.value, ratio.quads) == (0.5, 1)
    assert time_ratio(whole, {}) is None
    assert time_ratio(whole, {7: [1.0, 1.0]}) is None


def test_few_quads_give_a_value_without_an_interval():
    few = arm([[1.0, 1.0]] * (FEWEST_QUADS - 1))
    enough = arm([[1.0, 1.0]] * FEWEST_QUADS)
    assert time_ratio(few, few).low is None
    assert median_time(few).high is None
    assert time_ratio(enough, enough).low == 1.0


def test_the_median_is_of_all_turns_of_complete_quads():
    found = median_time(arm([[1.0, 2.0], [3.0, 4.0], [100.0]]))
    assert (found.value, found.quads) == (2.5, 2)
    assert median_time({}) is None
    assert median_time(arm([[1.0]])) is None


def test_the_median_lies_within_its_interval():
    found = median_time(noisy(np.random.default_rng(4), 30))
    assert found.low < found.value < found.high
    assert math.isclose(found.value, 0.01, rel_tol=0.1)


def test_the_same_samples_give_the_same_interval():
    rng = np.random.default_rng(5)
    first, second = noisy(rng, 12), noisy(rng, 12)
    assert time_ratio(first, second) == time_ratio(first, second)


def test_intervals_of_few_quads_are_wide_enough():
    """Plain percentiles would miss the truth of 6 quads in about one of seven."""
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        ratio = ratio_of(0.1 * rng.standard_normal(6))
        covered += ratio.low <= 1 <= ratio.high
    assert covered / 300 >= 0.92


def test_the_90_interval_lies_within_the_95_interval():
    ratio = ratio_of(np.random.default_rng(7).standard_normal(12))
    assert ratio.low < ratio.low_90 < ratio.high_90 < ratio.high


def test_values_that_follow_each_other_tell_less():
    rng = np.random.default_rng(8)
    independent = rng.standard_normal(400)
    following = np.convolve(independent, np.ones(10))
    assert effective_count(independent) > 300
    assert effective_count(following) < 60
    assert effective_count([1.0, 1.0, 1.0]) == 3
    assert effective_count([]) == 0


def test_a_percentile_needs_enough_values():
    assert percentile([], 50) is None
    assert percentile([3.0], 50) == 3
    assert percentile(range(28), 90) is None
    assert percentile(range(29), 90) is not None
    assert percentile(range(298), 99) is None
    assert percentile(range(299), 99) is not None
