"""Weights are read from every file that holds them; what is not weights is called what it is."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from reference.checkpoint import CheckpointError
from reference.load import load

WTE = "transformer.wte.weight"


def as_torch(small, dtype=torch.float32):
    return {name: torch.from_numpy(array).to(dtype) for name, array in small.weights.items()}


@pytest.fixture
def bare(folder):
    """The small checkpoint's folder without its weights."""
    (folder / "model.safetensors").unlink()
    return folder


def refusal(folder):
    with pytest.raises(CheckpointError) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_pytorchs_own_file_holds_the_same_weights(bare, small, dtype):
    state = as_torch(small, dtype)
    torch.save(state, bare / "pytorch_model.bin")
    read = load(str(bare))
    assert read.notes == ("read from pytorch_model.bin: tensors alone, nothing in it is run",)
    for name, tensor in state.items():
        np.testing.assert_array_equal(read.weights[name], tensor.float().numpy())


def test_pytorchs_shards_are_read_by_their_index(bare, small):
    state, shard_of = as_torch(small), {}
    for i in range(2):
        part = dict(list(state.items())[i::2])
        torch.save(part, bare / f"pytorch_model-{i}.bin")
        shard_of |= dict.fromkeys(part, f"pytorch_model-{i}.bin")
    (bare / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": shard_of}))
    assert load(str(bare)).sha256 == small.sha256


def test_safetensors_come_first_as_with_transformers(folder, small):
    torch.save({}, folder / "pytorch_model.bin")
    assert load(str(folder)).sha256 == small.sha256


class Harmful:
    """What a pickle may run while it is read."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (self.file, "w")


def test_nothing_of_a_pickle_is_run(bare, tmp_path):
    made = str(tmp_path / "made")
    torch.save({WTE: Harmful(made)}, bare / "pytorch_model.bin")
    assert "holds more than tensors, or is damaged, and is not unpickled" in refusal(bare)
    (bare / "pytorch_model.bin").write_bytes(pickle.dumps({WTE: Harmful(made)}))
    assert "not unpickled" in refusal(bare)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("held", "message"),
    [([1, 2], "is not a state dict, but a list"), ({"epoch": 3}, "epoch is a int"),
     ({"model": {}}, "model is a dict")],
)  # fmt: skip
def test_a_file_of_pytorch_without_a_state_dict_says_what_it_holds(bare, held, message):
    torch.save(held, bare / "pytorch_model.bin")
    assert message in refusal(bare)


def test_a_cut_off_file_of_pytorch_is_refused(bare, small):
    torch.save(as_torch(small), bare / "pytorch_model.bin")
    whole = (bare / "pytorch_model.bin").read_bytes()
    (bare / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    assert "pytorch_model.bin" in refusal(bare)


def test_float64_is_rounded_and_said(folder, small):
    wide = {name: array.astype(np.float64) * (1 + 1e-12) for name, array in small.weights.items()}
    save_file(wide, folder / "model.safetensors")
    read = load(str(folder))
    assert read.notes == (
        f"stored as float64, and rounded to float32: {len(small.weights)} weights",
    )
    assert all(np.array_equal(read.weights[name], wide[name].astype(np.float32)) for name in wide)


def test_float64_beyond_float32_is_refused(folder, small):
    wide = {name: array.astype(np.float64) for name, array in small.weights.items()}
    wide[WTE][0, 0] = 1e300
    save_file(wide, folder / "model.safetensors")
    assert f"{WTE} holds NaN or infinity" in refusal(folder)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abcd\nsize 497774208\n"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "config.json"])
def test_a_pointer_of_git_lfs_is_called_one(folder, name):
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
    (folder / name).write_text(POINTER)
    told = refusal(folder)
    assert f"{name} is a Git LFS pointer" in told
    assert "git lfs pull" in told


def test_a_text_in_place_of_weights_is_quoted(folder):
    (folder / "model.safetensors").write_text("Entry not found")
    assert "is a text, not weights; it begins with 'Entry not found'" in refusal(folder)


def test_a_text_in_place_of_the_configuration_is_quoted(folder):
    (folder / "config.json").write_text("Entry not found")
    assert "config.json cannot be read" in refusal(folder)
    assert "it begins with 'Entry not found'" in refusal(folder)


@pytest.mark.parametrize("multiple", [8, 64, 128])
def test_a_padded_embedding_is_called_padded_with_what_to_set(folder, small, multiple):
    rows = -(-small.config.vocab_size // multiple) * multiple
    assert rows != small.config.vocab_size
    padded = np.zeros((rows, small.config.n_embd), np.float32)
    save_file({**small.weights, WTE: padded}, folder / "model.safetensors")
    told = refusal(folder)
    assert f"{WTE} has {rows} rows" in told
    assert "it is padded to a multiple of" in told
    assert f"set vocab_size to {rows} in config.json" in told


def test_an_embedding_with_fewer_rows_is_not_called_padded(folder, small):
    save_file({**small.weights, WTE: small.weights[WTE][:-3].copy()}, folder / "model.safetensors")
    told = refusal(folder)
    assert "rows, and the configuration's vocab_size" in told
    assert "padded" not in told
