"""What nanoGPT and llm.c save becomes a folder that computes the same; nothing is written over."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from impl.weights import CONV1D
from reference.__main__ import main
from reference.convert import LLM_C_ORDER
from reference.folders import LLM_C_MAGIC
from reference.load import load
from reference.oracle import Oracle

IDS = np.array([[1, 5, 2, 7]])


def turned(weights):
    """As modules of torch.nn.Linear hold them, [out, in]."""
    return {n: np.ascontiguousarray(a.T) if n.endswith(CONV1D) else a for n, a in weights.items()}


def nano_gpt(file, small, *, bias=True, prefix="_orig_mod."):
    config = small.config
    state = {
        f"{prefix}{name}": torch.from_numpy(array)
        for name, array in turned(small.weights).items()
        if bias or not name.endswith(".bias")
    }
    state[f"{prefix}lm_head.weight"] = state[f"{prefix}transformer.wte.weight"]
    sizes = {"n_layer": config.n_layer, "n_head": config.n_head, "n_embd": config.n_embd,
             "block_size": config.n_positions, "vocab_size": config.vocab_size, "bias": bias,
             "dropout": 0.0}  # fmt: skip
    held = {"model": state, "model_args": sizes, "iter_num": 3, "best_val_loss": torch.tensor(1.5)}
    torch.save(held, file)
    return file


def llm_c(file, small, *, version=3, padding=5):
    config, weights = small.config, turned(small.weights)
    header = np.zeros(256, np.int32)
    header[:8] = [LLM_C_MAGIC, version, config.n_positions, config.vocab_size, config.n_layer,
                  config.n_head, config.n_embd, config.vocab_size + padding]  # fmt: skip
    parts = []
    for name in LLM_C_ORDER:
        every = [a for n, a in weights.items() if n == f"transformer.{name}"] or [
            weights[f"transformer.h.{layer}.{name}"] for layer in range(config.n_layer)
        ]
        rows = np.zeros((padding, config.n_embd), np.float32) if name == "wte.weight" else None
        parts += [a.ravel() for a in every] + ([] if rows is None else [rows.ravel()])
    numbers = np.concatenate(parts).astype("<f4")
    data = (numbers.view(np.uint32) >> 16).astype("<u2") if version == 5 else numbers
    file.write_bytes(header.tobytes() + data.tobytes())
    return file


def convert(*argv):
    return main(["convert", *map(str, argv)])


def test_nano_gpts_checkpoint_computes_what_its_model_does(tmp_path, small, capsys):
    source = nano_gpt(tmp_path / "ckpt.pt", small)
    assert convert(source, tmp_path / "new") == 0
    told = capsys.readouterr().out
    assert "begins with `_orig_mod.` (torch.compile)" in told
    assert "activation_function gelu" in told
    read = load(str(tmp_path / "new"))
    assert read.config.activation == "gelu"
    assert all(np.array_equal(read.weights[n], a) for n, a in small.weights.items())
    assert any("converted from nanoGPT's ckpt.pt" in note for note in read.notes)
    # By torch alone: the MLP of the first block, as nanoGPT's own module computes it.
    x = np.random.default_rng(0).normal(size=(1, 3, small.config.n_embd))
    held = {n: torch.from_numpy(a).double() for n, a in turned(small.weights).items()}
    name = "transformer.h.0.mlp"
    wide = torch.nn.functional.linear(
        torch.from_numpy(x), held[f"{name}.c_fc.weight"], held[f"{name}.c_fc.bias"]
    )
    narrow = torch.nn.functional.linear(
        torch.nn.functional.gelu(wide), held[f"{name}.c_proj.weight"], held[f"{name}.c_proj.bias"]
    )
    ours = Oracle(read).part_trace(name, x)[name]
    np.testing.assert_allclose(ours, narrow.numpy(), rtol=1e-12, atol=1e-14)


def test_another_activation_is_taken_where_it_is_named(tmp_path, small):
    source = nano_gpt(tmp_path / "ckpt.pt", small)
    assert convert(source, tmp_path / "new", "--activation", "gelu_new") == 0
    assert load(str(tmp_path / "new")).config.activation == "gelu_tanh"


def test_biases_that_are_missing_are_zeros_only_where_the_user_says_so(tmp_path, small, capsys):
    source = nano_gpt(tmp_path / "ckpt.pt", small, bias=False)
    assert convert(source, tmp_path / "new") == 2
    assert "--missing-bias zero adds zeros" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert convert(source, tmp_path / "new", "--missing-bias", "zero") == 0
    read = load(str(tmp_path / "new"))
    assert not read.weights["transformer.h.0.ln_1.bias"].any()
    assert any("biases, which the model lacks, are zeros" in note for note in read.notes)


def test_a_folder_without_biases_is_copied_with_zeros_and_its_tokenizer(tmp_path, folder, small):
    left = {name: a for name, a in small.weights.items() if not name.endswith(".bias")}
    save_file(left, folder / "model.safetensors")
    (folder / "vocab.json").write_text("{}")
    assert convert(folder, tmp_path / "new", "--missing-bias", "zero") == 0
    assert (tmp_path / "new" / "vocab.json").read_text() == "{}"
    assert load_file(folder / "model.safetensors").keys() == left.keys()  # as it was


@pytest.mark.parametrize("version", [3, 5])
def test_llm_cs_file_holds_the_same_weights_without_its_padding(tmp_path, small, version, capsys):
    source = llm_c(tmp_path / "gpt2.bin", small, version=version)
    assert convert(source, tmp_path / "new") == 0
    assert "5 rows of padding were cut off" in capsys.readouterr().out
    read = load(str(tmp_path / "new"))
    assert read.config == small.config
    for name, array in small.weights.items():
        kept = array if version == 3 else (array.view(np.uint32) >> 16 << 16).view(np.float32)
        np.testing.assert_array_equal(read.weights[name], kept)


@pytest.mark.parametrize("change", [-4, 4])
def test_a_file_of_llm_c_of_another_length_is_refused(tmp_path, small, change, capsys):
    source = llm_c(tmp_path / "gpt2.bin", small)
    data = source.read_bytes()
    source.write_bytes(data[:change] if change < 0 else data + bytes(change))
    assert convert(source, tmp_path / "new") == 2
    assert "numbers; a model of its sizes has" in capsys.readouterr().err


def test_an_unknown_version_of_llm_c_is_refused(tmp_path, small, capsys):
    source = llm_c(tmp_path / "gpt2.bin", small, version=2)
    assert convert(source, tmp_path / "new") == 2
    assert "version 3 (float32) or 5 (bfloat16)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"a": torch.ones(1)}, "no model and model_args"),
        ({"model": {}, "model_args": {}}, "have no"),
    ],
)  # fmt: skip
def test_another_file_of_torch_is_refused(tmp_path, held, message, capsys):
    torch.save(held, tmp_path / "ckpt.pt")
    assert convert(tmp_path / "ckpt.pt", tmp_path / "new") == 2
    assert message in capsys.readouterr().err


def test_nothing_is_written_over(tmp_path, small, capsys):
    source = nano_gpt(tmp_path / "ckpt.pt", small)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("kept")
    assert convert(source, tmp_path / "new") == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "new" / "mine").read_text() == "kept"


def test_a_source_that_is_not_there_is_refused(tmp_path, capsys):
    assert convert(tmp_path / "none", tmp_path / "new") == 2
    assert "is neither nanoGPT's, nor llm.c's, nor a folder" in capsys.readouterr().err


def test_a_converted_folder_is_one_that_transformers_loads(tmp_path, small):
    from transformers import GPT2LMHeadModel

    convert(nano_gpt(tmp_path / "ckpt.pt", small), tmp_path / "new")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "new", dtype=torch.float64)
    logits = theirs(torch.from_numpy(IDS)).logits.detach().numpy()
    ours = Oracle(load(str(tmp_path / "new"))).trace(IDS)["lm_head"]
    np.testing.assert_allclose(logits, ours, rtol=0, atol=1e-12 * math.sqrt(ours.size))
    assert json.loads((tmp_path / "new" / "conversion.json").read_text())["notes"]
