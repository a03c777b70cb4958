"""The places of a checkpoint are known without a run, from the oracle itself."""

import json
import subprocess
import sys

import numpy as np
import pytest
import transformers

from impl.config import GPT2Config
from reference.load import load
from reference.oracle import Oracle
from verify.places import main, places_of_decoder, places_of_gpt2


def test_they_are_those_of_the_oracle_in_its_order():
    checkpoint = load("tiny")
    assert places_of_gpt2(checkpoint.config) == list(
        Oracle(checkpoint).trace(np.zeros((1, 1), np.int64))
    )


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_of_other_sizes_has_other_places(tied):
    config = GPT2Config(n_layer=2, n_head=3, n_embd=12, n_inner=5, tie_word_embeddings=tied)
    places = places_of_gpt2(config)
    assert "transformer.h.1.mlp.act" in places
    assert not [name for name in places if ".h.2." in name]


def test_nothing_but_the_configuration_is_read(tmp_path, capsys):
    sizes = {"vocab_size": 8, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 2}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **sizes}))
    assert main(["--model", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == places_of_gpt2(GPT2Config(**sizes))


def test_a_decoder_has_the_places_of_its_own_modules(tmp_path):
    config = transformers.LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    places = places_of_decoder(str(tmp_path))
    assert places.index("model.layers.0.mlp") < places.index("model.layers.1.self_attn.q_proj")
    assert places[-1] == "lm_head"


def test_what_is_not_there_is_one_sentence(capsys):
    assert main(["--model", "random:nothing"]) == 2
    assert "presets are" in capsys.readouterr().err


def test_neither_max_nor_torch_is_imported():
    source = (
        "import sys; from verify.places import main; main([]); "
        "assert not {'max.graph', 'max.driver', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True, stdout=subprocess.DEVNULL)
