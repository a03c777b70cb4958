"""The knee of curves whose truth is known."""

import numpy as np
import pytest

from bench.serving.saturation import knee_of

SERVICE_MS = 20.0
SHARES = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8)


def waited(rate, count, drawn, rng):
    """Latencies of a queue with one server, by Lindley's recursion; ms, in order of arrival."""
    gaps = rng.exponential(1e3 / rate, count)
    service = rng.exponential(SERVICE_MS, count) if drawn else np.full(count, SERVICE_MS)
    waits = np.zeros(count)
    for n in range(1, count):
        waits[n] = max(0.0, waits[n - 1] + service[n - 1] - gaps[n])
    return waits + service


def found(drawn, count, seed):
    rng = np.random.default_rng(seed)
    alone = rng.exponential(SERVICE_MS, 4000) if drawn else np.full(50, SERVICE_MS)
    curve = [(share * 1e3 / SERVICE_MS, waited(share * 1e3 / SERVICE_MS, count, drawn, rng))
             for share in SHARES]  # fmt: skip
    return knee_of(alone, curve, seed)


@pytest.mark.parametrize(("drawn", "share"), [(True, 1 / 2), (False, 2 / 3)])
def test_the_knee_of_a_queue_is_where_theory_has_it(drawn, share):
    """M/M/1 at half of what the server can, M/D/1 at two thirds."""
    knee = found(drawn, 40_000, 0)
    assert knee.beyond == ""
    assert knee.rate == pytest.approx(share * 1e3 / SERVICE_MS, rel=0.04)
    assert knee.low < knee.rate < knee.high


@pytest.mark.parametrize(("drawn", "share"), [(True, 1 / 2), (False, 2 / 3)])
def test_the_interval_holds_the_true_knee_about_as_often_as_is_said(drawn, share):
    """Of 20 runs of 600 requests a rate; at 92%, 14 or fewer come once in 1,000."""
    truth = share * 1e3 / SERVICE_MS
    knees = [found(drawn, 600, seed) for seed in range(20)]
    held = [(k.low is None or k.low <= truth) and (k.high is None or truth <= k.high)
            for k in knees]  # fmt: skip
    assert sum(held) >= 15


def test_a_knee_beyond_what_was_measured_is_said_to_be_there():
    assert knee_of([10.0], [(1, [10.0] * 9), (2, [11.0] * 9)]).beyond == "above"
    assert knee_of([10.0], [(1, [10.0] * 9), (2, [11.0] * 9)]).rate is None
    assert knee_of([10.0], [(1, [30.0] * 9), (2, [90.0] * 9)]).beyond == "below"


def test_there_is_no_knee_of_one_rate_or_without_a_request_alone():
    assert knee_of([10.0], [(1, [10.0] * 9)]) is None
    assert knee_of([], [(1, [10.0] * 9), (2, [99.0] * 9)]) is None


def test_between_two_rates_it_lies_where_the_reciprocal_of_the_mean_says():
    knee = knee_of([10.0], [(10, [12.5] * 9), (20, [50.0] * 9)])
    assert knee.rate == pytest.approx(10 + 10 * (1 / 12.5 - 1 / 20) / (1 / 12.5 - 1 / 50))


def test_noise_that_lets_a_mean_fall_with_the_rate_makes_no_second_knee():
    knee = knee_of([10.0], [(1, [22.0] * 5), (2, [12.0] * 500), (3, [40.0] * 500)])
    assert 2 < knee.rate < 3
