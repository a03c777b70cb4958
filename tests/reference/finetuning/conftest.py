"""A small model with a tokenizer, a short text, and the command run on them."""

import pydoc_data.topics

import pytest

from impl.config import GPT2Config
from reference.finetuning import command
from reference.folders import write_checkpoint
from reference.load import TINY_FOLDER
from reference.regimes import initial_weights

CONFIG = GPT2Config(vocab_size=1024, n_positions=64, n_embd=16, n_layer=2, n_head=2)
CHARACTERS = 6000


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A folder with a GPT-2 of a few thousand parameters."""
    folder = tmp_path_factory.mktemp("models") / "small"
    write_checkpoint(folder, CONFIG, initial_weights(CONFIG, 3), TINY_FOLDER)
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """What Python's help says of a topic."""
    file = tmp_path_factory.mktemp("texts") / "topic.txt"
    file.write_text(pydoc_data.topics.topics["types"][:CHARACTERS], encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def finetune(model, text):
    """Run the command with a few short steps; other options may follow."""

    def run(out, *options):
        few = ["--steps", "4", "--batch-size", "2", "--length", "32", "--checkpoints", "2",
               "--sample-tokens", "4", "--no-verify"]  # fmt: skip
        words = ["--model", str(model), "--text", str(text), "--out", str(out), *few, *options]
        return command.main(words)

    return run
