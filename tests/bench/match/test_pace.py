"""A budget buys fewer quads before it buys fewer generations, and is not overrun."""

import pytest

from bench.match import pace as module
from bench.match.pace import Pace


class Clock:
    """Time that passes only when something takes it."""

    now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def run(clock, *, budget_s, processes=5, load_s=4.0, round_s=1.0, quads=None):
    """Rounds of each generation, and how long all took."""
    start_s = clock.now_s
    pace, played = Pace(processes, quads, start_s + budget_s, start_s=start_s), []
    for generation in range(processes):
        if not pace.may_start(generation):
            break
        clock.now_s += load_s
        pace.loaded(generation, load_s)
        played.append(0)
        for _ in pace.rounds(generation):
            clock.now_s += round_s
            played[-1] += 1
    return played, clock.now_s - start_s


def test_a_budget_is_shared_out_evenly_and_kept(clock):
    played, took_s = run(clock, budget_s=60.0)
    assert took_s <= 60
    assert took_s > 55
    assert len(played) == 5
    assert max(played) - min(played) <= 1


def test_little_time_means_fewer_quads_before_fewer_generations(clock):
    played, took_s = run(clock, budget_s=28.0)
    assert played == [1, 1, 1, 1, 1] or (len(played) == 5 and max(played) <= 2)
    assert took_s <= 28


def test_less_time_means_fewer_generations_of_one_quad(clock):
    played, took_s = run(clock, budget_s=16.0)
    assert played == [1, 1, 2]  # and the last one takes what is left
    assert took_s == 16


def test_with_too_little_time_one_round_is_played_and_no_more(clock):
    played, took_s = run(clock, budget_s=0.5)
    assert played == [1]
    assert took_s == 5.0


def test_time_for_no_further_process_is_shared_out_among_those_that_fit(clock):
    played, took_s = run(clock, budget_s=100.0, processes=8, load_s=14.0)
    assert len(played) == 6
    assert max(played) <= 2 * min(played) + 2
    assert 90 < took_s <= 100


def test_counted_quads_do_not_look_at_the_clock(clock):
    played, _ = run(clock, budget_s=0.5, quads=7)
    assert played == [7] * 5


def test_how_long_loading_takes_is_learned_from_the_generations_after_the_first(clock):
    pace = Pace(5, None, clock.now_s + 60.0)
    pace.loaded(0, 20.0)
    assert pace.load_s == 20.0
    pace.loaded(1, 4.0)
    pace.loaded(2, 6.0)
    assert pace.load_s == 5.0
