"""Checkpoints, MAX programs compiled once for all tests, and transformers' own model."""

import pytest
import torch
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from impl.next_token import WholeSequence
from impl.runtime import CompiledGPT2
from impl.tokenizer import Tokenizer
from reference.huggingface import load_model
from reference.load import TINY_FOLDER, load

# A busy machine fails no test: an example may take as long as it takes.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Characters of one to four bytes, of which byte-level BPE makes several tokens.
TEXTS = ["In the beginning God created the heaven and the earth.", "Zoë, naïve; 漢字 and 🎉"]


@pytest.fixture(scope="session")
def checkpoint():
    """The shape of the shipped model, with every bias and LayerNorm moved from its start."""
    return load("random:tiny:perturbed")


@pytest.fixture(scope="session")
def compiled(checkpoint):
    """Logits of every position."""
    return CompiledGPT2(checkpoint.config, checkpoint.weights)


@pytest.fixture(scope="session")
def next_token(checkpoint):
    """Logits of the last position."""
    return WholeSequence(checkpoint.config, checkpoint.weights)


@pytest.fixture(scope="session")
def theirs(checkpoint):
    """transformers' GPT-2 in float32 with the same weights."""
    return load_model(checkpoint, torch.float32)


@pytest.fixture(scope="session")
def tiny():
    """The trained model that is shipped."""
    return load("tiny")


@pytest.fixture(scope="session")
def tiny_next_token(tiny):
    """The shipped model has the shape of `checkpoint`, so that its program is compiled already."""
    return WholeSequence(tiny.config, tiny.weights)


@pytest.fixture(scope="session")
def tiny_folder():
    return TINY_FOLDER


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory):
    """A trained byte-level BPE of 300 tokens, as `tokenizer.json`."""
    folder = tmp_path_factory.mktemp("tokenizer")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS * 4, trainer)
    backend.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder):
    return Tokenizer.load(tokenizer_folder)
