"""A Llama in MAX beside transformers' own, with random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from reference.checkpoint import CheckpointError
from reference.decoder import ORDERS, Decoder, in_float64, load_decoder
from reports.saved.records import read_run
from verify.candidate.factory import load_factory
from verify.cli import main
from verify.decoder import SIZES, UsageError, decoder_sizes, verify_decoder
from verify.pairing.prepare import NamedCandidate

FILE = Path(__file__).parent / "models" / "llama.py"
BOTH = ["--reference", "hf:nowhere", "--candidate", "a.py:b"]
IDS = np.random.default_rng(0).integers(0, 89, (2, 9))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama of two layers, four query and two key heads, written by transformers."""
    config = transformers.LlamaConfig(
        vocab_size=89, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    target = tmp_path_factory.mktemp("llama")
    model.save_pretrained(target)
    return target


def verified(folder, name):
    subject = NamedCandidate(name=name, factory=load_factory(f"{FILE}:{name}"))
    return verify_decoder(load_decoder(str(folder)), subject)


def test_float64_is_float64_all_the_way(folder):
    """LlamaRMSNorm casts to float32; an oracle that did so would be off by 1e-8 and more."""
    model = load_decoder(str(folder))
    truth = in_float64(model).trace(IDS)
    hidden = truth["model.layers.0.input_layernorm:input"]
    weight = model.model.layers[0].input_layernorm.weight.detach().numpy().astype(float)
    norm = hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + model.config.rms_norm_eps)
    assert np.abs(truth["model.layers.0.input_layernorm"] - norm * weight).max() < 1e-14


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_is_as_near_to_float64_and_another_number(folder, order):
    model = load_decoder(str(folder))
    truth = in_float64(model).logits(IDS)
    plain, other = Decoder(model).logits(IDS), Decoder(model, order).logits(IDS)
    assert not np.array_equal(plain, other)
    assert np.abs(other - truth).max() < 10 * np.abs(plain - truth).max()


def test_a_folder_without_a_decoder_is_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="transformers cannot read a decoder"):
        load_decoder(str(tmp_path))


@pytest.mark.compiles
def test_a_right_llama_passes_at_every_place_and_leaves_records_and_a_page(folder, tmp_path):
    options = ["--reference", f"hf:{folder}", "--candidate", f"{FILE}:Llama"]
    assert main([*options, "--out", f"{tmp_path}/run", "--json", f"{tmp_path}/out.json"]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["verdict"] == "PASS"
    shown = {check["tap"] for check in report["checks"] if check["mode"] == "isolated"}
    assert {"model.layers.1.self_attn.o_proj:input", "model.layers.0.mlp.down_proj:input"} <= shown
    assert {"model.norm", "lm_head", "model.layers.0.self_attn"} <= shown
    run = read_run(tmp_path / "run")
    assert run.end["verdict"] == "PASS"
    assert len(run.of("check")) == len(report["checks"])
    assert {(c["batch"], c["length"]) for c in run.of("check")} == set(SIZES)
    assert run.environment["model"] == f"hf:{folder}"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "model.layers.1.self_attn" in page


@pytest.mark.compiles
def test_rotary_embeddings_that_turn_backwards_are_blamed_on_that_attention(folder):
    divergence = verified(folder, "backwards").first_divergence
    assert divergence.tap == "model.layers.1.self_attn.o_proj:input"
    assert "what model.layers.1.self_attn.o_proj is given: " in divergence.diagnosis


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reference", "hf:x"], "needs a --candidate"),
        (["--reference", "x", "--candidate", "a.py:b"], "--reference is hf:FOLDER"),
        (
            ["--reference", "hf:nowhere", "--candidate", "a.py:b"],
            "cannot read a decoder in nowhere",
        ),
        ([*BOTH, "--dtype", "bfloat16"], "--dtype belongs to a GPT-2"),
        ([*BOTH, "--output", "hidden"], "--output belongs to a GPT-2"),
        ([*BOTH, "--engines", "stock"], "--engines belongs to a GPT-2"),
        ([*BOTH, "--device", "gpu"], "is compared on the CPU"),
        ([*BOTH, "--seed", "-1"], "must not be negative"),
    ],
)
def test_a_wrong_reference_is_one_sentence(options, message, capsys):
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_a_length_beyond_the_models_positions_is_told():
    config = transformers.LlamaConfig(max_position_embeddings=16)
    with pytest.raises(UsageError, match="17 tokens are more than the model's 16 positions"):
        decoder_sizes(config, [3, 17], None)


def test_sizes_are_those_named_or_those_that_fit():
    config = transformers.LlamaConfig(max_position_embeddings=16)
    assert decoder_sizes(config, None, None) == [(1, 1), (1, 9)]
    assert decoder_sizes(config, [3], [1, 2]) == [(1, 3), (2, 3)]
    assert decoder_sizes(config, None, [4]) == [(4, 1), (4, 9)]
