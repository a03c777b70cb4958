"""A verdict needs an interval, is measured by the margin, and says what is missing."""

import math

import numpy as np
import pytest

from bench.judge.estimate import Estimate, estimate, with_bounds
from bench.judge.luck import pool_of
from bench.judge.simulation import draw
from bench.judge.verdict import MARGIN, judge, more_processes, more_quads


def ratio(value, half, *, generations=5, quads=30, freedom=8.0, within=4e-4, between=2e-5):
    """An estimate whose 95% interval is so wide, in logs."""
    error = half / 2.306  # t of 8 degrees of freedom
    return with_bounds(
        Estimate(
            value, generations=generations, quads=quads, error=error, freedom=freedom,
            within=within, between=between,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "half", "margin", "verdict"),
    [
        (0.85, 0.05, 0.01, "FASTER"),
        (1.08, 0.03, 0.01, "SLOWER"),
        (1.0, 0.009, 0.01, "SAME"),
        (1.005, 0.004, 0.01, "SAME"),  # resolved, and smaller than what matters
        (1.005, 0.004, 0.001, "SLOWER"),
        (1.0, 0.05, 0.01, "INCONCLUSIVE"),
        (1.02, 0.03, 0.01, "INCONCLUSIVE"),
        (1.0, 0.05, 0.10, "SAME"),
    ],
)
def test_verdicts(value, half, margin, verdict):
    assert judge(ratio(value, half), margin).verdict == verdict


def test_only_what_is_open_asks_for_more():
    assert judge(ratio(0.85, 0.05)).more_processes is None
    found = judge(ratio(1.02, 0.03, within=4e-3))
    assert found.more_processes > 0
    assert found.more_quads > 0


@pytest.mark.parametrize("generations", [1, 2])
def test_fewer_than_three_processes_give_no_verdict_and_say_why(generations):
    found = judge(Estimate(0.5, generations=generations, quads=60))
    assert found.verdict == "INCONCLUSIVE"
    assert found.more_processes == 3 - generations
    assert "luck" in found.why


def test_the_processes_asked_for_settle_it_more_often_than_not():
    rng = np.random.default_rng(0)
    settled = []
    for _ in range(40):
        asked = judge(with_effect(draw(rng, "normal", 3, 4, 6), 1.02)).more_processes
        if asked:
            settled.append(judge(with_effect(draw(rng, "normal", 3, 4 + asked, 6), 1.02)))
    assert len(settled) > 8
    assert np.mean([found.verdict != "INCONCLUSIVE" for found in settled]) > 0.5


def with_effect(arms, factor):
    slower = {place: [factor * t for t in times] for place, times in arms[0].items()}
    return estimate(slower, arms[1], pool_of([slower, *arms[1:]]))


def test_quads_cannot_settle_what_the_luck_of_processes_hides():
    found = ratio(1.004, 0.02, within=1e-6, between=4e-4)
    assert more_quads(found, MARGIN) is None
    assert more_processes(found, MARGIN) > 10


def test_more_quads_narrow_what_noise_within_processes_makes_wide():
    found = ratio(1.02, 0.025, within=30 * (0.025 / 2.306) ** 2, between=0.0)
    needed = more_quads(found, MARGIN)
    assert needed == pytest.approx(6 * ((0.025 / math.log(1.02)) ** 2 - 1), abs=1.5)


def test_what_is_out_of_reach_is_not_asked_for():
    found = judge(ratio(1.0101, 0.5, within=None))
    assert found.more_processes is found.more_quads is None
