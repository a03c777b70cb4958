"""What is a fault of one GPT-2 is right in another; words follow the configuration."""

from dataclasses import replace

import numpy as np
import pytest

from impl.config import ACTIVATIONS, GPT2Config
from reference.checkpoint import Checkpoint
from reference.oracle import Oracle
from reference.regimes import initial_weights, with_regime
from verify.faults.cache import CachedOracle
from verify.faults.catalogue import catalogue
from verify.faults.configured import FORMULAS, divided_by, expected_by
from verify.faults.planted import Planted

SIZES = GPT2Config(vocab_size=17, n_positions=8, n_embd=12, n_layer=3, n_head=2)
OPTIONS = [
    *({"activation_function": name} for name in ("gelu", "gelu_fast", "quick_gelu", "relu", "silu",
                                                 "tanh")),
    {"scale_attn_weights": False},
    {"scale_attn_by_inverse_layer_idx": True},
    {"activation_function": "gelu", "scale_attn_weights": False,
     "scale_attn_by_inverse_layer_idx": True},
]  # fmt: skip
FOLLOW = ("gelu_erf", "gelu_new", "gelu_sigmoid", "relu", "scale_missing", "scale_applied",
          "scale_twice", "scale_n_embd", "scale_by_layer", "layer_scale_missing")  # fmt: skip


IDS = np.random.default_rng(0).integers(0, 17, (2, 6))


def oracle_of(options):
    config = replace(SIZES, **options)
    start = Checkpoint(name="c", config=config, weights=initial_weights(config, 0))
    return Oracle(with_regime(start, "perturbed", seed=0))


def ids_of(config):
    return {fault.id for fault in catalogue("float32", config)}


@pytest.mark.parametrize("options", OPTIONS)
def test_each_fault_of_activation_or_scale_computes_something_else(options):
    oracle = oracle_of(options)
    right = oracle.trace(IDS)["lm_head"]
    for fault in catalogue("float32", oracle.config):
        if fault.id in FOLLOW:
            wrong = Planted(oracle, fault, fault.layer(SIZES.n_layer)).trace(IDS)["lm_head"]
            assert np.abs(wrong - right).max() > 1e-9, fault.id


def test_the_function_of_openais_models_is_a_fault_where_the_checkpoint_names_another():
    assert "gelu_new" not in ids_of(SIZES)
    assert "gelu_erf" in ids_of(SIZES)
    exact = ids_of(replace(SIZES, activation_function="gelu"))
    assert "gelu_new" in exact
    assert not exact & {"gelu_erf", "gelu_wrong_const", "gelu_missing_x"}
    assert "relu" not in ids_of(replace(SIZES, activation_function="relu"))


def test_a_scale_left_out_is_a_fault_where_there_is_one():
    by_layer = ids_of(replace(SIZES, scale_attn_by_inverse_layer_idx=True))
    assert {"layer_scale_missing", "scale_missing"} <= by_layer
    assert "scale_by_layer" not in by_layer
    plain = ids_of(replace(SIZES, scale_attn_weights=False))
    assert "scale_applied" in plain
    assert not plain & {"scale_missing", "scale_twice", "scale_n_embd", "layer_scale_missing"}


def test_what_is_right_is_said_in_the_words_of_the_configuration():
    faults = {fault.id: fault for fault in catalogue("float32")}
    exact = replace(SIZES, activation_function="gelu")
    assert (
        faults["gelu_erf"]
        .explanation(SIZES)
        .startswith("found 0.5 x (1 + erf(x / sqrt(2))); GPT-2")
    )
    told = faults["relu"].explanation(exact)
    assert 'this GPT-2 has 0.5 x (1 + erf(x / sqrt(2))) ("gelu")' in told
    by_layer = replace(SIZES, scale_attn_by_inverse_layer_idx=True)
    assert "divided by sqrt(head_dim) (layer + 1)" in faults["scale_missing"].explanation(by_layer)
    assert "divided by nothing" in divided_by(replace(SIZES, scale_attn_weights=False))
    assert expected_by(SIZES, "anything") == "anything"


@pytest.mark.parametrize("options", OPTIONS)
def test_the_oracles_cache_changes_no_logit(options):
    oracle = oracle_of(options)
    cached = CachedOracle(oracle)
    parts = [cached.read(IDS[:, :4]), cached.read(IDS[:, 4:])]
    whole = oracle.trace(IDS)["lm_head"]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-13)


def test_every_activation_has_a_formula():
    assert set(FORMULAS) == set(ACTIVATIONS.values())
