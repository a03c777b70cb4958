"""Decoders of transformers in float64, and other orders of their sums."""

import numpy as np
import pytest
import torch
import transformers

from reference.checkpoint import CheckpointError
from reference.decoder import DRAWN, ORDERS, Decoder, in_float64, in_regime, load_decoder

IDS = np.random.default_rng(0).integers(0, 89, (2, 9))
SIZES = {
    "vocab_size": 89, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64,
}  # fmt: skip
GROUPED = SIZES | {"num_key_value_heads": 2}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
}  # fmt: skip
CONFIGS = {
    "llama": transformers.LlamaConfig(**GROUPED),
    "llama3": transformers.LlamaConfig(**GROUPED, rope_parameters=LLAMA3),
    "qwen3": transformers.Qwen3Config(**GROUPED, head_dim=16),
    "gemma2": transformers.Gemma2Config(**GROUPED, head_dim=16),
    "olmo2": transformers.Olmo2Config(**GROUPED),
    "gpt2": transformers.GPT2Config(
        vocab_size=89, n_embd=64, n_layer=2, n_head=4, n_positions=64,
        bos_token_id=None, eos_token_id=None,
    ),
}  # fmt: skip


def made(name):
    """A float32 model with random weights, every parameter moved."""
    torch.manual_seed(0)
    kind = transformers.AutoModelForCausalLM
    model = kind.from_config(CONFIGS[name], attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def llama():
    return made("llama")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_array_of_a_float64_model_is_float64(name):
    trace = in_float64(made(name)).trace(IDS)
    assert {array.dtype for array in trace.values() if array.dtype.kind == "f"} == {
        np.dtype(np.float64)
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_a_float64_model_holds_the_weights_of_the_float32_model(name):
    model = made(name)
    wide = dict(in_float64(model).model.named_parameters())
    for key, parameter in model.named_parameters():
        assert torch.equal(wide[key], parameter.double())


@pytest.mark.parametrize("name", CONFIGS)
def test_float32_differs_from_it_by_float32s_rounding(name):
    model = made(name)
    difference = np.abs(Decoder(model).logits(IDS) - in_float64(model).logits(IDS)).max()
    assert 1e-8 < difference < 1e-5


SCALED = {
    "default": {}, "linear": {"factor": 3.0}, "dynamic": {"factor": 3.0},
    "yarn": {"factor": 2.0, "original_max_position_embeddings": 32},
    "llama3": {name: value for name, value in LLAMA3.items() if name != "rope_theta"},
    "longrope": {
        "short_factor": [1 + 0.1 * n for n in range(8)], "factor": 2.0,
        "long_factor": [1 + 0.3 * n for n in range(8)], "original_max_position_embeddings": 32,
    },
}  # fmt: skip


@pytest.mark.parametrize("length", [9, 70])
@pytest.mark.parametrize("kind", SCALED)
def test_every_kind_of_rotary_table_is_computed_in_float64(kind, length):
    """A table that was rounded equals its own rounding; two kinds change with the length."""
    rope = {"rope_type": kind, "rope_theta": 700.0} | SCALED[kind]
    config = transformers.LlamaConfig(**GROUPED, rope_parameters=rope)
    narrow = transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager").eval()
    wide = in_float64(narrow)
    ids = np.arange(length)[None] % 89
    wide.logits(ids)
    Decoder(narrow).logits(ids)
    expected = narrow.model.rotary_emb.inv_freq.double()
    table = wide.model.model.rotary_emb.inv_freq
    assert table.dtype == torch.float64
    assert torch.allclose(table, expected, rtol=1e-6, atol=0)
    rounded = table.float().double() == table
    assert rounded.sum() <= 2  # 1 and a power of two may be exact
    assert wide.model.model.rotary_emb.attention_scaling == pytest.approx(
        narrow.model.rotary_emb.attention_scaling
    )


def test_a_mixture_of_experts_is_computed_in_float64(tmp_path):
    """Its products are grouped by default, which torch has for 32 and fewer bits."""
    config = transformers.MixtralConfig(**GROUPED, num_local_experts=4)
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path)
    model = load_decoder(str(tmp_path))
    truth = in_float64(model).logits(IDS)
    assert truth.dtype == np.float64
    assert 1e-9 < np.abs(Decoder(model).logits(IDS) - truth).max() < 1e-5


def test_float64_is_float64_all_the_way(llama):
    """LlamaRMSNorm casts to float32; an oracle that did so would be off by 1e-8 and more."""
    truth = in_float64(llama).trace(IDS)
    hidden = truth["model.layers.0.input_layernorm:input"]
    weight = llama.model.layers[0].input_layernorm.weight.detach().numpy().astype(float)
    norm = hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + llama.config.rms_norm_eps)
    assert np.abs(truth["model.layers.0.input_layernorm"] - norm * weight).max() < 1e-14


def test_tables_are_computed_in_float64(llama):
    """Widened, `inv_freq` would keep the rounding of float32: 6e-8 of each frequency."""
    exact = 10000.0 ** (-torch.arange(0, 16, 2).double() / 16)
    table, held = (m.model.rotary_emb.inv_freq for m in (in_float64(llama).model, llama))
    assert torch.allclose(table, exact, rtol=1e-15, atol=0.0)
    assert not torch.allclose(held.double(), exact, rtol=1e-9, atol=0.0)


def test_a_table_that_was_loaded_and_not_computed_is_widened_as_it_is():
    model = made("llama")
    loaded = torch.linspace(1.0, 0.1, 8)
    model.model.rotary_emb.inv_freq = loaded
    assert torch.equal(in_float64(model).model.model.rotary_emb.inv_freq, loaded.double())


def test_the_float32_model_and_torchs_defaults_stay_as_they_are(llama):
    before = {name: tensor.clone() for name, tensor in llama.state_dict().items()}
    in_float64(llama).logits(IDS)
    assert torch.get_default_dtype() == torch.float32
    assert all(torch.equal(before[name], tensor) for name, tensor in llama.state_dict().items())
    assert llama.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_is_as_near_to_float64_and_another_number(llama, order):
    truth = in_float64(llama).logits(IDS)
    plain, other = Decoder(llama).logits(IDS), Decoder(llama, order).logits(IDS)
    assert not np.array_equal(plain, other)
    assert np.abs(other - truth).max() < 10 * np.abs(plain - truth).max()


@pytest.mark.parametrize("order", [*ORDERS, DRAWN])
def test_in_float64_other_orders_differ_by_float64s_rounding(llama, order):
    oracle = in_float64(llama)
    difference = np.abs(Decoder(oracle.model, order).logits(IDS) - oracle.logits(IDS)).max()
    assert 0 < difference < 1e-13


@pytest.mark.parametrize("order", [*ORDERS, DRAWN])
def test_the_products_of_gpt2s_conv1d_have_other_orders_too(order):
    """They are `torch.addmm`, whose sums begin with the bias: elsewhere it may come last."""
    oracle = in_float64(made("gpt2"))
    tap = "transformer.h.0.mlp.c_proj"
    truth = oracle.trace(IDS)
    given = {name: array for name, array in truth.items() if not name.endswith(":input")}
    other = Decoder(oracle.model, order).trace(IDS, given)[tap]
    error = np.abs(other - truth[tap])
    assert 0 < error.max() < 1e-14


def test_what_functions_round_shows_where_results_are_drawn(llama):
    """An activation has no sum whose order could be another."""
    oracle = in_float64(llama)
    tap = "model.layers.0.mlp.act_fn"
    truth = oracle.trace(IDS)
    given = {name: array for name, array in truth.items() if not name.endswith(":input")}
    drawn = Decoder(oracle.model, DRAWN).trace(IDS, given)[tap]
    other = Decoder(oracle.model, "reversed").trace(IDS, given)[tap]
    assert np.array_equal(other, truth[tap])
    error = np.abs(drawn - truth[tap])
    assert 0 < error.max() <= 2 * np.spacing(np.abs(truth[tap]).max())


def test_a_folder_without_a_decoder_is_told_in_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="transformers cannot read a decoder"):
        load_decoder(str(tmp_path))


def test_every_parameter_is_moved_in_the_perturbed_regime_and_the_model_stays():
    model = tiny_llama()
    before = {name: p.clone() for name, p in model.named_parameters()}
    changed = dict(in_regime(model, "perturbed", seed=1).named_parameters())
    again = dict(in_regime(model, "perturbed", seed=1).named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert not torch.equal(changed[name], parameter)
        assert torch.equal(changed[name], again[name])


def test_scores_are_a_hundred_times_as_large_under_stress():
    model = tiny_llama()
    changed = in_regime(model, "stress")
    own, other = (m.model.layers[0].self_attn for m in (model, changed))
    for name in ("q_proj", "k_proj"):
        torch.testing.assert_close(getattr(other, name).weight, 10 * getattr(own, name).weight)
    assert torch.equal(other.v_proj.weight, own.v_proj.weight)


def test_where_queries_are_normalised_the_norms_are_scaled():
    config = transformers.Qwen3Config(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    model = transformers.Qwen3ForCausalLM(config)
    changed = in_regime(model, "stress").model.layers[0].self_attn
    own = model.model.layers[0].self_attn
    torch.testing.assert_close(changed.q_norm.weight, 10 * own.q_norm.weight)
    assert torch.equal(changed.q_proj.weight, own.q_proj.weight)


def test_a_regime_that_a_decoder_does_not_have_is_one_sentence():
    with pytest.raises(CheckpointError, match="unknown regime 'init' of a decoder"):
        in_regime(tiny_llama(), "init")


def tiny_llama():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)
