"""Regimes change what they say they change, and nothing else."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
import transformers

from reference.checkpoint import CheckpointError
from reference.oracle import Oracle
from reference.regimes import REGIMES, STRESS_FACTOR, initial_weights, with_regime


def copies(checkpoint):
    return {name: array.copy() for name, array in checkpoint.weights.items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("regime", REGIMES)
def test_a_regime_leaves_the_original_untouched(small, regime):
    before = copies(small)
    changed = with_regime(small, regime, seed=5)
    assert same(small.weights, before)
    assert changed.regime == regime
    assert changed.config == small.config


@pytest.mark.parametrize("regime", REGIMES)
def test_a_regime_gives_float32_of_the_same_shapes(small, regime):
    changed = with_regime(small, regime).weights
    assert {k: v.shape for k, v in changed.items()} == {
        k: v.shape for k, v in small.weights.items()
    }
    assert {array.dtype for array in changed.values()} == {np.dtype(np.float32)}


def test_given_weights_stay_as_they_are(small):
    assert with_regime(small, "given", seed=5).sha256 == small.sha256


@pytest.mark.parametrize("regime", ["init", "perturbed"])
def test_the_seed_decides_what_is_drawn(small, regime):
    first, again, other = (with_regime(small, regime, seed=seed).sha256 for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_an_unknown_regime_is_refused(small):
    with pytest.raises(CheckpointError, match="unknown regime 'wild'; choose from given, init"):
        with_regime(small, "wild")


# ---- perturbed --------------------------------------------------------------------------------


def test_perturbed_moves_every_single_parameter(small):
    start = with_regime(small, "init")
    moved = with_regime(start, "perturbed").weights
    for name, array in start.weights.items():
        assert (moved[name] != array).all(), name


def test_perturbed_moves_matrices_by_a_tenth_of_their_spread(small):
    start = with_regime(small, "init")
    moved = with_regime(start, "perturbed").weights
    for name, array in start.weights.items():
        if array.ndim == 2:
            ratio = (moved[name] - array).std() / array.std()
            assert ratio == pytest.approx(0.1, rel=5 * standard_error(array.size)), name


def test_perturbed_gives_vectors_a_spread_of_a_tenth(small):
    start = with_regime(small, "init")
    moved = with_regime(start, "perturbed").weights
    steps = [moved[name] - array for name, array in start.weights.items() if array.ndim == 1]
    all_steps = np.concatenate(steps)
    assert all_steps.std() == pytest.approx(0.1, rel=5 * standard_error(all_steps.size))


# ---- stress -----------------------------------------------------------------------------------


def test_stress_scales_queries_and_keys_with_their_biases_and_nothing_else(small):
    stressed = with_regime(small, "stress").weights
    d, scaled = small.config.n_embd, 0
    for name, array in small.weights.items():
        if "c_attn" in name:
            expected = np.concatenate(
                [array[..., : 2 * d] * np.float32(STRESS_FACTOR), array[..., 2 * d :]], axis=-1
            )
            scaled += 1
        else:
            expected = array
        assert np.array_equal(stressed[name], expected), name
    assert scaled == 2 * small.config.n_layer
    assert STRESS_FACTOR == 10


def test_stress_scales_attention_scores_by_a_hundred(small):
    seen = []

    class Watching(Oracle):
        def masked(self, scores):
            seen.append(scores)
            return super().masked(scores)

    ids = np.arange(5)[None]
    for checkpoint in (small, with_regime(small, "stress")):
        Watching(checkpoint).trace(ids)
    first_plain, first_stressed = seen[0], seen[small.config.n_layer]
    # Weights times 10 are rounded to float32.
    np.testing.assert_allclose(first_stressed, 100 * first_plain, rtol=1e-4, atol=1e-5)


# ---- init -------------------------------------------------------------------------------------


def test_initial_biases_are_zero_and_layer_norms_the_identity(small):
    for name, array in initial_weights(small.config, 0).items():
        if name.endswith(".bias"):
            assert not array.any(), name
        elif ".ln_" in name:
            assert (array == 1).all(), name
        else:
            assert (array != 0).all(), name


@pytest.mark.parametrize("n_layer", [1, 8])
def test_initial_residual_projections_are_scaled_by_the_depth(sized, n_layer):
    """Radford et al. 2019: weights of residual layers are divided by sqrt(number of them)."""
    config = sized(n_layer=n_layer).config
    for name, array in initial_weights(config, 0).items():
        if array.ndim == 2:
            residual = name.endswith("c_proj.weight")
            expected = 0.02 / math.sqrt(2 * n_layer) if residual else 0.02
            error = standard_error(array.size)
            assert array.std() == pytest.approx(expected, rel=5 * error), name
            assert abs(array.mean()) < 5 * expected / math.sqrt(array.size), name


def test_initial_weights_are_spread_as_transformers_spreads_them(small):
    """Other than in residual projections, whose scaling is checked above against the paper.

    transformers 5.12 means to scale them too, but compares their full names with `c_proj.weight`.
    """
    torch.manual_seed(0)
    sizes = asdict(small.config)
    config = transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)
    theirs = dict(transformers.GPT2LMHeadModel(config).named_parameters())
    ours = initial_weights(small.config, 0)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        if name.endswith("c_proj.weight"):
            continue
        other = theirs[name].detach().numpy()
        if array.ndim == 1:
            assert np.array_equal(array, other), name
        else:
            error = math.sqrt(2) * standard_error(array.size)
            assert array.std() == pytest.approx(other.std(), rel=5 * error), name


def test_no_two_matrices_are_drawn_alike(small):
    matrices = [array for array in initial_weights(small.config, 0).values() if array.ndim == 2]
    starts = {array.ravel()[:8].tobytes() for array in matrices}
    assert len(starts) == len(matrices)


def standard_error(size):
    """Relative standard error of the standard deviation of `size` normal numbers."""
    return 1 / math.sqrt(2 * size)
