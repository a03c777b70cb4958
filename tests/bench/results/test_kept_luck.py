"""What processes differ by is kept from one run to the next, and used where it fits."""

import pytest

from bench.arms.caches import CONVERSIONS_VARIABLE
from bench.judge.luck import Machine, Pool, machine_in
from bench.results.kept_luck import keep, luck_record
from bench.results.replays import Replay, machine_of
from tests.bench.helpers import plan

LUCK = Pool(between=1e-5, spread=3e-5, noise=2e-5, freedom=20)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CONVERSIONS_VARIABLE, str(tmp_path))


def of(arm):
    return plan([arm], threads=[2])


def known(*arms, threads=2, device="cpu"):
    return machine_in(luck_record("tiny", device, threads, arms))


def test_what_is_kept_is_known_where_every_arm_is():
    keep(of("torch"), Machine(1e-5, 10.0))
    assert known("torch", "torch#2") == Machine(1e-5, 10.0)
    assert known("torch", "max") is None
    keep(of("max"), Machine(4e-5, 20.0))
    assert known("max", "torch", "torch#2").between == pytest.approx(3e-5)
    assert known("max", "torch").freedom == 30


def test_it_belongs_to_the_threads_and_to_the_cpu():
    keep(of("torch"), Machine(1e-5, 10.0))
    assert known("torch", threads=1) is None
    assert known("torch", device="gpu") is None


def test_a_file_that_cannot_be_read_is_as_none(tmp_path):
    file = keep(of("torch"), Machine(1e-5, 10.0))
    file.write_text("{")
    assert known("torch") is None
    file.write_text("[]")
    assert known("torch") is None


def test_replays_of_one_pool_are_as_many_draws_as_it_has_processes():
    replays = [Replay(group, {}, LUCK) for group in (0, 0, 0, 1, 1)]
    found = machine_of(replays, 30)
    assert found.between == pytest.approx(1e-5)
    assert found.freedom == pytest.approx(58 * (1 / (1 + 2 * 2 / 5)) ** 2)  # 2.5 replays each
    assert machine_of([Replay(0, {})], 30) is None


def test_less_spread_than_noise_explains_is_none():
    quiet = Replay(0, {}, Pool(between=0.0, spread=1e-5, noise=2e-5, freedom=20))
    assert machine_of([quiet], 30) is None
