"""Arms take turns, so that a drift of the machine is the same for all of them."""

from collections import Counter

import numpy as np
import pytest

from bench.match.schedule import MOST_CALLS, TURN_S, block_at, calls_per_turn, quad_order, quads_for


@pytest.mark.parametrize("arms", ["A", "AB", "ABC"])
def test_a_quad_reads_the_same_from_both_ends_and_has_every_arm_twice(arms):
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = quad_order(arms, rng)
        assert order == order[::-1]
        assert Counter(order) == dict.fromkeys(arms, 2)


def test_a_steady_drift_cancels_out():
    order = quad_order("AB", np.random.default_rng(1))
    time = {"A": 0.0, "B": 0.0}
    for position, arm in enumerate(order):
        time[arm] += 1.0 + 0.1 * position
    assert time["A"] == pytest.approx(time["B"])


def test_either_arm_begins_about_equally_often():
    rng = np.random.default_rng(2)
    firsts = Counter(quad_order("AB", rng)[0] for _ in range(400))
    assert min(firsts.values()) > 150


@pytest.mark.parametrize("arm_count", [1, 2, 3])
def test_every_arm_gets_the_same_two_blocks_of_a_quad_and_no_block_returns(arm_count):
    arms, seen = range(arm_count), set()
    for quad in range(5):
        blocks = {arm: [] for arm in arms}
        for position, arm in enumerate(quad_order(arms, np.random.default_rng(quad))):
            blocks[arm].append(block_at(quad, position, arm_count))
        assert {tuple(sorted(found)) for found in blocks.values()} == {(2 * quad, 2 * quad + 1)}
        assert seen.isdisjoint(blocks[0])
        seen.update(blocks[0])


def test_blocks_are_shared_out_to_processes_and_rounded_up_to_whole_quads():
    assert [quads_for(blocks, 1) for blocks in (1, 2, 3, 8)] == [1, 1, 2, 4]
    assert [quads_for(blocks, 5) for blocks in (1, 10, 11, 60)] == [1, 1, 2, 6]


def test_calls_follow_the_slowest_arm_within_bounds():
    assert calls_per_turn([TURN_S / 100, TURN_S / 2.5]) == 3
    assert calls_per_turn([TURN_S * 10]) == 1
    assert calls_per_turn([1e-6]) == MOST_CALLS
    assert calls_per_turn([0.0]) == MOST_CALLS
    assert calls_per_turn([]) == 1
