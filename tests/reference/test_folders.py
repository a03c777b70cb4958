"""What is not a checkpoint as it stands is called what it is, with what makes one of it."""

import json
import shutil
import struct

import pytest

from reference.checkpoint import CheckpointError
from reference.folders import LLM_C_MAGIC
from reference.load import load


def refusal(name):
    with pytest.raises(CheckpointError) as caught:
        load(str(name))
    return str(caught.value)


def cached(tmp_path, folder, commit="0123abc", reference="main"):
    cache = tmp_path / "models--someone--small"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / reference).write_text(f"{commit}\n")
    shutil.copytree(folder, cache / "snapshots" / commit)
    return cache


def test_a_folder_of_the_hubs_cache_is_opened(tmp_path, folder, small):
    assert load(str(cached(tmp_path, folder))).sha256 == small.sha256


def test_a_revision_is_found_in_the_cache_by_its_name_and_its_commit(tmp_path, folder, small):
    cache = cached(tmp_path, folder, reference="v2")
    for revision in ("v2", "0123abc"):
        assert load(str(cache), revision=revision).sha256 == small.sha256
    assert "holds no config.json of main; it has 0123abc" in refusal(cache)


def test_an_adapter_is_called_one(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    assert "a LoRA adapter of peft" in refusal(tmp_path)
    assert "merge_and_unload()" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["ckpt.pt", "gpt2_124M.bin"])
def test_what_can_be_converted_says_by_which_command(tmp_path, name):
    of = "nanoGPT" if name.endswith(".pt") else "llm.c"
    (tmp_path / name).write_bytes(struct.pack("<2i", LLM_C_MAGIC, 3))
    for asked in (tmp_path, tmp_path / name):
        told = refusal(asked)
        assert f"is a checkpoint of {of}" in told
        assert f"python -m reference convert {tmp_path / name} NEW" in told


def test_a_checkpoint_one_folder_below_is_pointed_to(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "outer" / "epoch-3")
    assert "but in its epoch-3" in refusal(tmp_path / "outer")


def test_a_model_without_biases_says_which_command_adds_them(folder, small):
    from safetensors.numpy import save_file

    left = {name: a for name, a in small.weights.items() if not name.endswith(".bias")}
    save_file(left, folder / "model.safetensors")
    told = refusal(folder)
    assert "has no biases" in told
    assert f"python -m reference convert {folder} NEW --missing-bias zero" in told
