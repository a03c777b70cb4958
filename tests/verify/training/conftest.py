"""Folders with the checkpoints of a fine-tuning: a small model's, and two of `tiny`'s shape."""

import pydoc_data.topics

import pytest

from impl.config import GPT2Config
from reference.finetuning import command
from reference.folders import write_checkpoint
from reference.load import TINY_FOLDER, load
from reference.regimes import initial_weights, with_regime
from verify.training import over_training

CONFIG = GPT2Config(vocab_size=1024, n_positions=64, n_embd=16, n_layer=2, n_head=2)


@pytest.fixture(scope="session")
def small_training(tmp_path_factory):
    """A folder that `python -m reference finetune --lora` left; its model is quick to judge."""
    folder = tmp_path_factory.mktemp("trained")
    write_checkpoint(folder / "model", CONFIG, initial_weights(CONFIG, 3), TINY_FOLDER)
    (folder / "text.txt").write_text(pydoc_data.topics.topics["types"][:6000])
    words = ["--model", folder / "model", "--text", folder / "text.txt", "--out", folder / "out",
             "--steps", 4, "--batch-size", 2, "--length", 32, "--checkpoints", 2,
             "--lora", 2, "--sample-tokens", 4, "--no-verify"]  # fmt: skip
    assert command.main([str(word) for word in words]) == 0
    return folder / "out"


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory):
    """Two checkpoints of the shipped model's shape, without a `training.json`."""
    folder, tiny = tmp_path_factory.mktemp("tinies"), load("tiny")
    write_checkpoint(folder / "checkpoint-0", tiny.config, tiny.weights, TINY_FOLDER)
    moved = with_regime(tiny, "perturbed", seed=1)
    write_checkpoint(folder / "checkpoint-10", tiny.config, moved.weights, TINY_FOLDER)
    return folder


@pytest.fixture
def training(tmp_path):
    """Run the command; the run's folder is `tmp_path / "run"`."""

    def run(folder, *options):
        return over_training.main([str(folder), "--out", str(tmp_path / "run"), *options])

    return run
