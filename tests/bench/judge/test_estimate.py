"""The estimate finds what is there, and knows that a process is one draw."""

import math

import numpy as np
import pytest

from bench.judge.estimate import LUCK, assuming_luck, estimate, median_time, ratio_of_ratios
from bench.judge.luck import pool_of, spreads
from bench.judge.parts import FEWEST_GENERATIONS, parts_of
from bench.judge.simulation import QUAD, draw, rates

SHAPE = 5, 6


def arm(rng, factor=1.0, *, luck=0.0045, noise=0.018, shape=SHAPE, moments=None):
    """Turns about 10 ms; `moments` are shared by arms of one quad."""
    logs = luck * rng.standard_normal((shape[0], 1)) + noise * rng.standard_normal(shape)
    times = 0.01 * factor * np.exp(logs + (0 if moments is None else moments))
    return {(g, q): [float(t), float(t)] for (g, q), t in np.ndenumerate(times)}


def constant(times, processes=3):
    """One quad in each process, of these two turns each."""
    return {(g, g): list(times) for g in range(processes)}


def test_the_ratio_of_equal_arms_is_one_within_its_interval():
    rng = np.random.default_rng(0)
    arms = [arm(rng) for _ in range(3)]
    ratio = estimate(arms[0], arms[1], pool_of(arms))
    assert ratio.low < 1 < ratio.high
    assert (ratio.generations, ratio.quads) == (5, 30)


def test_a_ratio_is_found_through_a_drift_that_both_arms_share():
    rng = np.random.default_rng(1)
    drift = np.cumsum(rng.standard_normal(SHAPE), axis=1) / 2
    fast, slow = arm(rng, 0.5, moments=drift), arm(rng, moments=drift)
    ratio = estimate(fast, slow)
    assert ratio.low < 0.5 < ratio.high
    assert ratio.high / ratio.low < 1.1


def test_turns_of_two_processes_tell_less_than_they_seem_to():
    """Many quads of three processes cannot be surer than the luck of three processes allows."""
    rng = np.random.default_rng(2)
    arms = [arm(rng, luck=0.01, noise=1e-4, shape=(3, 200)) for _ in range(3)]
    ratio = estimate(arms[0], arms[1], pool_of(arms))
    assert math.log(ratio.high / ratio.low) > 0.01


@pytest.mark.parametrize("noise", ["normal", "heavy", "bursts", "follows", "unlike", "no luck"])
@pytest.mark.parametrize("size", [(3, 2), (5, 6), (20, 1)])
def test_equal_code_is_called_different_about_as_often_as_it_should_be(noise, size):
    wrong, _, _ = rates(noise, *size, runs=300)
    assert wrong <= 0.09  # 5%, and chance in 300 runs


def test_an_interval_of_one_pair_alone_would_be_wider():
    def width(arms):
        found = [estimate(run[0], run[1], pool_of(run[:arms])) for run in drawn]
        return np.median([math.log(one.high / one.low) for one in found])

    rng = np.random.default_rng(3)
    drawn = [draw(rng, "normal", 4, 3, 6) for _ in range(60)]
    assert width(4) < 0.8 * width(2)


def test_a_pair_whose_processes_differ_far_more_than_others_stands_alone():
    rng = np.random.default_rng(4)
    arms = [arm(rng, luck=0.3 if n < 2 else 0.0, noise=0.001) for n in range(6)]
    assert estimate(arms[0], arms[1], pool_of(arms)).freedom == SHAPE[0] - 1
    assert estimate(arms[4], arms[5], pool_of(arms)).freedom > SHAPE[0] - 1


def test_bursts_move_the_ratio_little():
    rng = np.random.default_rng(5)
    arms = [arm(rng, luck=0.0) for _ in range(2)]
    arms[0][2, 3] = [0.1, 0.1]  # ten times as long
    ratio = estimate(*arms)
    assert abs(math.log(ratio.value)) < QUAD


def test_fewer_than_three_processes_have_a_value_and_no_interval():
    rng = np.random.default_rng(6)
    few = [arm(rng, shape=(FEWEST_GENERATIONS - 1, 30)) for _ in range(3)]
    ratio = estimate(few[0], few[1], pool_of(few))
    assert ratio.value == pytest.approx(1, abs=0.05)
    assert ratio.low is ratio.high is ratio.error is None
    assert pool_of(few) is None


def test_what_is_assumed_of_one_process_resolves_no_two_percent():
    rng = np.random.default_rng(7)
    runs = [[arm(rng, luck=0.0, noise=1e-5, shape=(1, 30)) for _ in range(2)] for _ in range(2)]
    before, after = (assuming_luck(estimate(*run)) for run in runs)
    change = ratio_of_ratios(after, before)
    assert 0.018 < math.log(change.high / change.low) / 2 < 0.022
    assert before.between == 2 * LUCK**2


def test_swapping_the_arms_inverts_the_ratio():
    rng = np.random.default_rng(8)
    first, second = arm(rng), arm(rng, 3.0)
    ratio, inverse = estimate(first, second), estimate(second, first)
    assert ratio.value * inverse.value == pytest.approx(1)
    assert ratio.low * inverse.high == pytest.approx(1)


def test_only_quads_that_are_complete_in_both_arms_count():
    whole = {(0, 0): [1.0, 1.0], (0, 1): [1.0, 1.0]}
    torn = {(0, 0): [2.0, 2.0], (0, 1): [9.0]}
    ratio = estimate(whole, torn)
    assert (ratio.value, ratio.quads) == (0.5, 1)
    assert estimate(whole, {}) is None
    assert estimate(whole, {(0, 7): [1.0, 1.0]}) is None


def test_quads_may_be_as_many_as_there_was_time_for():
    rng = np.random.default_rng(9)
    arms = [arm(rng, shape=(4, 8)) for _ in range(3)]
    for turned in arms:
        del turned[1, 7], turned[3, 7], turned[3, 6]
    ratio = estimate(arms[0], arms[1], pool_of(arms))
    assert ratio.quads == 29
    assert ratio.low < 1 < ratio.high


def test_the_median_is_of_all_turns_of_complete_quads():
    found = median_time({(0, 0): [1.0, 2.0], (0, 1): [3.0, 4.0], (1, 2): [100.0]})
    assert (found.value, found.quads) == (2.5, 2)
    assert median_time({}) is None
    assert median_time({(0, 0): [1.0]}) is None


def test_the_median_has_the_interval_of_its_processes():
    found = median_time(arm(np.random.default_rng(10), luck=0.1, noise=0.001))
    assert found.low < found.value < found.high
    assert math.log(found.high / found.low) > 0.1


def test_times_that_do_not_vary_have_an_interval_without_width():
    found = estimate(constant([2.0, 2.0]), constant([1.0, 1.0]))
    assert found.low == found.value == found.high == 2


def test_the_90_interval_lies_within_the_95_interval():
    rng = np.random.default_rng(11)
    ratio = estimate(arm(rng), arm(rng))
    assert ratio.low < ratio.low_90 < ratio.value < ratio.high_90 < ratio.high


def test_a_change_between_two_runs_has_the_errors_of_both():
    rng = np.random.default_rng(12)
    first, second = (estimate(arm(rng), arm(rng, 2.0)) for _ in range(2))
    change = ratio_of_ratios(second, first)
    assert change.error == pytest.approx(math.hypot(first.error, second.error))
    assert change.low < 1 < change.high


def test_spreads_of_arms_are_taken_apart():
    rng = np.random.default_rng(13)
    shape = 60, 40
    arms = {
        "calm": arm(rng, luck=0.002, noise=0.01, shape=shape),
        "lucky": arm(rng, luck=0.02, noise=0.01, shape=shape),
        "noisy": arm(rng, luck=0.002, noise=0.05, shape=shape),
    }
    found = spreads(arms)
    assert found["lucky"][0] == pytest.approx(0.02, rel=0.25)
    assert found["calm"][0] < 0.01
    assert found["noisy"][1] == pytest.approx(0.05, rel=0.1)
    assert found["calm"][1] == pytest.approx(0.01, rel=0.3)


def test_spreads_are_unknown_where_they_cannot_be_told():
    rng = np.random.default_rng(14)
    one_quad = {name: arm(rng, shape=(5, 1)) for name in "ab"}
    assert spreads(one_quad) == {"a": (None, None), "b": (None, None)}
    assert spreads({"a": arm(rng)}) == {"a": (None, None)}
    two = spreads({name: arm(rng, shape=(2, 9)) for name in "ab"})
    assert two["a"][0] is None
    assert two["a"][1] > 0


def test_parts_of_nothing_are_empty():
    assert parts_of([]).quads == 0
