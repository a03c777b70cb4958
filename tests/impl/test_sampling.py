"""Tokens are drawn from the distribution that transformers would draw them from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from impl.sampling import Sampler, SamplingError

LOGITS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.floats(-100, 100, width=32),
)
TEMPERATURES = st.floats(1e-3, 1e3)
TOP_PS = st.floats(1e-6, 1)


def their_probabilities(logits, temperature, top_k, top_p):
    """What transformers samples from, in float64: temperature, then top k, then top p."""
    scores = TemperatureLogitsWarper(temperature)(None, torch.from_numpy(logits).double())
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return scores.softmax(dim=-1).numpy()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 7, 50, 5000])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.95, 1.0])
def test_kept_tokens_and_probabilities_are_those_of_transformers(seed, temperature, top_k, top_p):
    logits = np.random.default_rng(seed).normal(0, 4, (3, 1024)).astype(np.float32)
    ours = Sampler(temperature, top_k, top_p).probabilities(logits)
    theirs = their_probabilities(logits, temperature, top_k, top_p)
    assert ours.dtype == np.float64
    assert np.array_equal(ours > 0, theirs > 0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)


def test_top_k_keeps_tokens_that_tie_with_the_last_as_transformers_does():
    logits = np.array([[3.0, 1.0, 2.0, 1.0, 1.0, 0.0]])
    ours = Sampler(1.0, 3).probabilities(logits)
    assert (ours > 0).tolist() == [[True, True, True, True, True, False]]
    np.testing.assert_allclose(ours, their_probabilities(logits, 1.0, 3, 1.0), rtol=1e-12)


@given(LOGITS, TEMPERATURES, st.integers(0, 50), TOP_PS)
def test_probabilities_sum_to_one_and_keep_the_best(logits, temperature, top_k, top_p):
    probabilities = Sampler(temperature, top_k, top_p).probabilities(logits)
    assert probabilities.shape == logits.shape
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, rtol=1e-12)
    best = probabilities[np.arange(len(logits)), logits.argmax(axis=-1)]
    assert (best >= probabilities.max(axis=-1)).all()


@given(LOGITS, TEMPERATURES, TOP_PS)
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits, temperature, top_p):
    everything = Sampler(temperature).probabilities(logits)
    kept = Sampler(temperature, top_p=top_p).probabilities(logits) > 0
    for row, keeps in zip(everything, kept, strict=True):
        mass = math.fsum(row[keeps])
        assert mass >= top_p - 1e-9
        assert mass - row[keeps].min() < top_p + 1e-9
        assert row[keeps].min() >= row[~keeps].max(initial=0.0)


@given(LOGITS, st.integers(1, 50))
def test_top_k_keeps_k_tokens_or_more_where_they_tie(logits, top_k):
    kept = Sampler(1000.0, top_k).probabilities(logits) > 0  # so flat that none rounds to 0
    assert (kept.sum(axis=-1) >= min(top_k, logits.shape[1])).all()
    for row, keeps in zip(logits, kept, strict=True):
        # Logits that differ by less than this are one once the temperature has divided them.
        ties = np.abs(row.astype(float) - row[keeps].min()) < 1e-30
        assert keeps.sum() - ties.sum() < top_k


@given(LOGITS, TEMPERATURES, st.integers(0, 5), TOP_PS, st.integers(0, 2**32))
def test_a_token_that_was_cut_off_is_never_drawn(logits, temperature, top_k, top_p, seed):
    sampler = Sampler(temperature, top_k, top_p, seed)
    tokens = sampler(logits)
    assert tokens.dtype == np.int64
    assert (sampler.probabilities(logits)[np.arange(len(logits)), tokens] > 0).all()


@given(LOGITS, st.integers(0, 2**32))
def test_a_seed_repeats_its_draws(logits, seed):
    one, other = Sampler(seed=seed), Sampler(seed=seed)
    assert [one(logits).tolist() for _ in range(3)] == [other(logits).tolist() for _ in range(3)]


def test_another_seed_and_the_next_draw_differ():
    logits = np.zeros((1, 10**6))
    sampler = Sampler(seed=1)
    assert len({int(sampler(logits)[0]), int(sampler(logits)[0]), int(Sampler(seed=2)(logits)[0])})


@given(LOGITS)
def test_temperature_0_takes_the_first_of_the_best(logits):
    sampler = Sampler(0)
    assert np.array_equal(sampler(logits), logits.argmax(axis=-1))
    assert np.array_equal(sampler.probabilities(logits).argmax(axis=-1), sampler(logits))
    assert (sampler.probabilities(logits) > 0).sum() == len(logits)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e300])
def test_extreme_temperatures_overflow_nowhere(temperature):
    logits = np.array([[1.0, 3.0e38, -3.0e38, 2.0]])
    probabilities = Sampler(temperature).probabilities(logits)
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities.argmax() == 1 or temperature == 1e300


def test_frequencies_follow_the_probabilities():
    logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    draws = Sampler(top_p=0.9, seed=3)(np.repeat(logits, 20_000, axis=0))
    expected = np.array([0.5, 0.3, 0.15, 0.0]) / 0.95
    # 5 standard errors of a share of 20,000 draws
    np.testing.assert_allclose(np.bincount(draws, minlength=4) / 20_000, expected, atol=0.018)


def test_rows_of_a_batch_are_drawn_apart():
    tokens = Sampler(seed=0)(np.zeros((64, 1000)))
    assert len(set(tokens.tolist())) > 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature must be a finite number, 0 or more, not -0.1"),
        ({"temperature": math.nan}, "temperature must be a finite number, 0 or more, not nan"),
        ({"temperature": math.inf}, "temperature must be a finite number, 0 or more, not inf"),
        ({"top_k": -1}, r"top_k must be 0 \(off\) or more, not -1"),
        ({"top_p": 0.0}, "top_p must lie above 0 and at most at 1, not 0.0"),
        ({"top_p": 1.01}, "top_p must lie above 0"),
        ({"top_p": math.nan}, "top_p must lie above 0"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(SamplingError, match=message):
        Sampler(**settings)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([[0.0, math.nan]], "NaN or infinity"),
        ([[0.0, math.inf]], "NaN or infinity"),
        ([[0.0, -math.inf]], "NaN or infinity"),
        ([0.0, 1.0], r"logits must be \[batch, vocab\], not \[2\]"),
        (np.zeros((1, 0)), r"logits must be \[batch, vocab\], not \[1, 0\]"),
    ],
)
def test_logits_without_a_token_are_refused(temperature, logits, message):
    with pytest.raises(SamplingError, match=message):
        Sampler(temperature)(np.asarray(logits))


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        Sampler().temperature = 2.0
