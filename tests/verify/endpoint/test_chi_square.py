"""The test of a sample: right samples pass, wrong ones do not, and its level is what it says."""

import numpy as np
import pytest

from verify.endpoint import chi_square
from verify.endpoint.chi_square import LEVEL, at_temperature, judged

DRAWS = 300
rng = np.random.default_rng(7)
LOGITS = rng.normal(0, 3, 1000)
LOGPROBS = LOGITS - np.log(np.exp(LOGITS).sum())


def drawn(temperature, seed=0, count=DRAWS):
    weights = at_temperature(LOGPROBS, temperature)
    return np.random.default_rng(seed).choice(len(weights), count, p=weights)


@pytest.fixture
def few(monkeypatch):
    """Fewer draws for the limit, where it is taken many times."""
    monkeypatch.setattr(chi_square, "DRAWN", 2000)


def test_right_samples_pass(few):
    found = [judged(drawn(0.7, seed), LOGPROBS, 0.7) for seed in range(30)]
    assert all(one.passed for one in found)


def test_the_statistic_of_right_samples_has_the_distribution_that_its_limit_supposes(few):
    """Half of them lie below its median, which says more than that none is rejected."""
    found = [judged(drawn(0.7, seed), LOGPROBS, 0.7) for seed in range(60)]
    cells = found[0].cells
    below = np.mean([one.statistic < cells - 1 for one in found])
    assert 0.35 < below < 0.8


def test_the_measured_rate_of_false_alarms_is_near_the_level():
    found = judged(drawn(0.7), LOGPROBS, 0.7)
    assert found.false_alarms < 3 * LEVEL


@pytest.mark.parametrize("temperature", [0.45, 1.0])
def test_another_temperature_is_rejected(temperature):
    assert not judged(drawn(temperature), LOGPROBS, 0.7).passed


def test_greedy_tokens_are_rejected():
    assert not judged([int(LOGPROBS.argmax())] * DRAWS, LOGPROBS, 0.7).passed


def test_a_missing_rest_is_rejected():
    """Sampling from the three likeliest alone, as a server with top_k 3 would."""
    likeliest = np.argsort(LOGPROBS)[::-1][:3]
    weights = at_temperature(LOGPROBS, 0.7)[likeliest]
    tokens = np.random.default_rng(1).choice(likeliest, DRAWS, p=weights / weights.sum())
    assert not judged(tokens, LOGPROBS, 0.7).passed


def test_a_certain_token_is_one_cell_and_nothing_else():
    certain = np.full(50, -60.0)
    certain[3] = 0.0
    assert judged([3] * DRAWS, certain, 1.0).passed
    assert not judged([4] * DRAWS, certain, 1.0).passed
