"""Samples become turns; medians and percentiles claim nothing where there is nothing."""

import numpy as np
import pytest

from bench.judge.statistics import (
    FEWEST_FOR_MEDIAN,
    effective_count,
    median_of,
    percentile,
    turns,
)


def sample(generation, quad, block, ns, *, clean=True):
    return {"generation": generation, "quad": quad, "block": block, "time_ns": ns, "clean": clean}


def test_a_turn_is_the_median_of_its_calls():
    calls = [(0, (9_000_000, 1_000_000, 2_000_000)), (1, (4_000_000,))]
    found = [sample(0, 0, block, ns, clean=block == 0) for block, times in calls for ns in times]
    assert turns(found) == {(0, 0): [0.002, 0.004]}
    assert turns(found, clean_only=True) == {(0, 0): [0.002]}


def test_arms_are_compared_by_the_fastest_call_of_each_turn():
    calls = [(0, (9_000_000, 1_000_000, 2_000_000)), (1, (4_000_000,))]
    found = [sample(0, 0, block, ns) for block, times in calls for ns in times]
    assert turns(found, call="fastest") == {(0, 0): [0.001, 0.004]}


def test_turns_of_two_processes_are_not_mixed_though_their_blocks_have_the_same_numbers():
    found = [sample(g, g, block, (g + 1) * 1_000_000) for g in (0, 1) for block in (0, 1)]
    assert turns(found) == {(0, 0): [0.001, 0.001], (1, 1): [0.002, 0.002]}


def test_samples_without_a_generation_were_all_taken_by_one_process():
    found = [{"quad": quad, "block": quad, "time_ns": 10**6, "clean": True} for quad in (0, 1)]
    assert set(turns(found)) == {(0, 0), (0, 1)}


def test_a_median_lies_between_values_that_enclose_it():
    found = median_of(np.random.default_rng(0).normal(10, 1, 40))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(10, abs=0.6)


def test_few_values_have_a_median_without_an_interval():
    assert median_of([1.0] * (FEWEST_FOR_MEDIAN - 1)).low is None
    assert median_of(range(FEWEST_FOR_MEDIAN)).low == 0


def test_medians_are_enclosed_about_as_often_as_they_should_be():
    rng = np.random.default_rng(1)
    found = [median_of(rng.standard_normal(15)) for _ in range(300)]
    assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 1


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
