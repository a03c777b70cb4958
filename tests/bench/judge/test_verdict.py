"""A verdict needs an interval, is measured by the null, and says what is missing."""

import math

import numpy as np
import pytest

from bench.judge.statistics import Estimate, ratio_of
from bench.judge.verdict import WIDEST_SAME, judge, margin_of


def ratio(low, high, *, quads=20, spread=0.1):
    """An estimate whose 90% interval is a little narrower."""
    middle = math.sqrt(low * high)
    shrunk = [middle * (end / middle) ** 0.84 for end in (low, high)]
    return Estimate(middle, low, high, quads, *shrunk, spread)


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.80, 0.90, 1.02, "FASTER"),
        (1.05, 1.10, 1.02, "SLOWER"),
        (0.99, 1.01, 1.02, "SAME"),
        (1.002, 1.008, 1.02, "SAME"),  # resolved, and smaller than the null's width
        (0.95, 1.05, 1.02, "INCONCLUSIVE"),
        (0.99, 1.01, None, "INCONCLUSIVE"),  # nothing is the same without a null
        (1.05, 1.10, None, "SLOWER"),
        (1.001, 1.039, 1.03, "INCONCLUSIVE"),  # resolved, but equal code may differ as much
        (0.962, 0.999, 1.03, "INCONCLUSIVE"),
    ],
)
def test_verdicts(low, high, margin, verdict):
    assert judge(ratio(low, high), margin).verdict == verdict


def test_only_what_is_open_asks_for_more_blocks():
    assert judge(ratio(0.8, 0.9), 1.02).blocks_needed is None
    assert judge(ratio(0.99, 1.06), 1.02).blocks_needed > 0


def test_the_blocks_asked_for_settle_it():
    """Many samples of the same kind, as many as were asked for in all, exclude 1."""
    rng = np.random.default_rng(0)
    logs = 0.03 + 0.1 * rng.standard_normal(2000)
    first = ratio_of(logs[:16])
    assert first.low < 1 < first.high
    needed = judge(first, None).blocks_needed
    settled = ratio_of(logs[: 16 + needed * 2])
    assert not settled.low <= 1 <= settled.high


def test_a_null_that_is_too_wide_asks_for_the_blocks_that_narrow_it():
    """With k times the quads it is the root of k narrower: 2.2% come down to 2.0%."""
    found = ratio(1.012, 1.028, quads=20, spread=0.01)
    needed = judge(found, 1.022).blocks_needed
    assert needed == 2 * math.ceil(20 * (math.log(1.022) / math.log(found.value)) ** 2 - 20)


def test_too_few_quads_are_inconclusive_and_ask_for_the_fewest():
    few = ratio_of(np.array([0.5, 0.5]))
    assert few.low is None
    judgement = judge(few, 1.02)
    assert (judgement.verdict, judgement.blocks_needed) == ("INCONCLUSIVE", 8)


def test_what_is_out_of_reach_is_not_asked_for():
    assert judge(ratio(0.999, 1.00101, spread=3.0), None).blocks_needed is None


def test_the_margin_is_the_farther_end_of_the_null():
    assert margin_of(ratio(0.97, 1.01)) == pytest.approx(1 / 0.97)
    assert margin_of(ratio(0.99, 1.04)) == pytest.approx(1.04)
    assert margin_of(None) is margin_of(Estimate(1.0, None, None, 2)) is None


def test_a_wide_null_makes_nothing_the_same():
    assert margin_of(ratio(0.9, WIDEST_SAME * 1.01)) is None
