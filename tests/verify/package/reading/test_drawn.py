"""Tiny checkpoints of any architecture, with nothing at its usual value."""

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from reference.checkpoint import CheckpointError
from reference.decoder import in_float64, load_decoder
from verify.package.reading.drawn import draw, rope_parameters, tiny, write

ARCHITECTURES = [
    "LlamaForCausalLM", "Olmo2ForCausalLM", "GraniteForCausalLM", "Phi3ForCausalLM",
    "Qwen2ForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "GPT2LMHeadModel",
    "DeepseekV3ForCausalLM", "MixtralForCausalLM",
]  # fmt: skip


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_drawn_checkpoint_is_small_and_transformers_computes_with_it(name, tmp_path):
    config = draw(name, tmp_path)
    model = load_decoder(str(tmp_path))
    assert type(model).__name__ == name
    assert sum(parameter.numel() for parameter in model.parameters()) < 300_000
    assert config.num_hidden_layers == 2
    logits = in_float64(model).logits(np.arange(24)[None])
    assert np.abs(logits).max() > 1


def test_every_number_of_a_configuration_is_unusual():
    usual = transformers.GraniteConfig().to_dict()
    drawn = tiny("GraniteForCausalLM").to_dict()
    numbers = [name for name, value in usual.items() if isinstance(value, float) and value]
    same = {name for name in numbers if drawn[name] == usual[name]}
    assert same == {"initializer_range"}
    assert drawn["rope_parameters"] == {"rope_type": "default", "rope_theta": 700.0}
    assert (drawn["rms_norm_eps"], drawn["attention_multiplier"]) == (3e-3, 0.2)


def test_what_a_user_has_switched_on_is_kept_and_what_numbers_say_is_not(tmp_path):
    scaled = rope_parameters("llama3") | {"rope_theta": 5e5, "factor": 32.0}
    source = transformers.LlamaConfig(
        num_hidden_layers=28, hidden_act="gelu", attention_bias=True, tie_word_embeddings=True,
        rope_parameters=scaled, architectures=["MyLlama"],
    )  # fmt: skip
    config = draw(source, tmp_path)
    assert config.hidden_act == "gelu"
    assert config.rope_parameters == rope_parameters("llama3") | {"rope_theta": 700.0}
    tensors = load_file(tmp_path / "model.safetensors")
    assert "model.layers.1.self_attn.q_proj.bias" in tensors
    assert "lm_head.weight" not in tensors
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["MyLlama"]


def test_each_kind_of_layer_is_kept():
    assert tiny("Gemma3ForCausalLM").layer_types == ["sliding_attention", "full_attention"]


def test_rotary_settings_are_written_under_both_names(tmp_path):
    config = tiny("LlamaForCausalLM")
    config.rope_parameters = rope_parameters("linear") | {"rope_theta": 700.0}
    write(config, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["rope_theta"] == written["rope_parameters"]["rope_theta"] == 700.0
    assert written["rope_scaling"] == written["rope_parameters"]
    assert transformers.AutoConfig.from_pretrained(tmp_path).rope_parameters == (
        config.rope_parameters
    )


def test_no_weight_is_neutral_and_those_that_keep_their_shape_are_the_same(tmp_path):
    config = draw("Qwen2ForCausalLM", tmp_path / "a")
    config.num_key_value_heads = 4
    write(config, tmp_path / "b")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    for name, tensor in before.items():
        assert tensor.std() > 0.05
        if tensor.ndim == 1:
            assert torch.unique(tensor).numel() == tensor.numel()
        same = tensor.shape == after[name].shape and torch.equal(tensor, after[name])
        assert same == (".k_proj." not in name and ".v_proj." not in name)
    norm = before["model.norm.weight"]
    assert 0.9 < norm.mean() < 1.1


def test_another_seed_draws_other_weights(tmp_path):
    for seed in (0, 1):
        draw("LlamaForCausalLM", tmp_path / str(seed), seed=seed)
    first, second = (load_file(tmp_path / str(s) / "model.safetensors") for s in (0, 1))
    assert not any(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["NoSuchThing", "ViTModel"])
def test_what_is_no_decoder_is_told(name, tmp_path):
    with pytest.raises(CheckpointError, match="transformers has no"):
        draw(name, tmp_path)
