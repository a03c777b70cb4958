"""What the machine is known for counts, as long as the run does not contradict it."""

import numpy as np
import pytest

from bench.judge.estimate import estimate
from bench.judge.luck import MOST_KNOWN, Machine, machine_in, pool_of
from bench.judge.simulation import draw, rates

KNOWN = Machine(2 * 0.0045**2, 29.0)


def drawn(arms, *, seed=0, size=(5, 6)):
    return draw(np.random.default_rng(seed), "normal", arms, *size)


def test_two_arms_alone_have_no_pool_and_the_machines_is_one():
    run = drawn(2)
    assert pool_of(run) is None
    pool = pool_of(run, KNOWN)
    assert (pool.between, pool.freedom) == (KNOWN.between, MOST_KNOWN)
    assert estimate(*run, pool).freedom > estimate(*run).freedom


def test_the_run_and_the_machine_have_a_say_by_their_degrees_of_freedom():
    run = drawn(3)
    own, both = pool_of(run), pool_of(run, KNOWN)
    assert both.freedom == own.freedom + MOST_KNOWN
    assert min(own.spread, KNOWN.between + own.noise) < both.spread
    assert both.spread < max(own.spread, KNOWN.between + own.noise)
    assert both.noise == own.noise


def test_a_machine_that_the_run_contradicts_has_no_say():
    run = drawn(4, size=(8, 60))
    assert pool_of(run, Machine(0.0, 1e9)) == pool_of(run)


def test_of_a_machine_without_processes_nothing_is_known():
    run = drawn(3)
    assert pool_of(run, Machine(1.0, 0.0)) == pool_of(run)
    assert machine_in({"between": None, "freedom": 0.0}) is None
    assert machine_in({"between": 1e-5, "freedom": 9}) == Machine(1e-5, 9.0)


def test_one_quad_in_each_process_tells_no_noise_from_processes():
    assert pool_of(drawn(2, size=(5, 1)), KNOWN) is None


@pytest.mark.parametrize("noise", ["known", "changed"])
@pytest.mark.parametrize("size", [(3, 6), (5, 6)])
def test_equal_code_is_called_different_as_often_as_it_should_be_on_a_known_machine(noise, size):
    wrong, _, _ = rates(noise, *size, runs=300)
    assert wrong <= 0.09  # 5%, and chance in 300 runs
