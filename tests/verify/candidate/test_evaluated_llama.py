"""A Llama's own graph in float64 beside transformers' in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from reference.decoder import in_float64, load_decoder
from verify.candidate.factory import load_factory
from verify.decoder import prepare_decoder, weights_of
from verify.pairing.prepare import NamedCandidate

FILE = Path(__file__).parents[1] / "models" / "llama.py"
FLOAT64 = 1e-13
"""As in test_evaluated.py: 2.8e-15 was seen."""
IDS = np.random.default_rng(0).integers(0, 89, (2, 9))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    config = transformers.LlamaConfig(
        vocab_size=89, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    made = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("llama")
    made.save_pretrained(folder)
    return load_decoder(str(folder))


def wrong_places(model, name):
    """Where the candidate's forced graph is not transformers' mathematics."""
    subject = NamedCandidate(name=name, factory=load_factory(f"{FILE}:{name}"))
    paired = prepare_decoder(subject, model)
    bound = paired.evaluated(paired.weights_of(weights_of(model)))
    truth = in_float64(model).trace(IDS)
    found = bound.forced_trace(IDS, truth)
    assert len(found) > 50
    moved = bound.moved(0).forced_trace(IDS, truth)  # its table of angles is in float32
    return [
        tap
        for tap, array in found.items()
        if np.abs(array - truth[tap]).max()
        > FLOAT64 * np.sqrt(np.mean(truth[tap] ** 2)) + 3 * np.abs(moved[tap] - array).max()
    ]


def test_a_right_llama_is_transformers_mathematics_at_every_place(model):
    assert wrong_places(model, "Llama") == []


def test_embeddings_that_turn_backwards_show_in_the_block_that_has_them(model):
    attention = "model.layers.1.self_attn.o_proj"
    assert wrong_places(model, "backwards") == [f"{attention}:input", attention]
