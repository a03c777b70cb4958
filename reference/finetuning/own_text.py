"""The text that somebody brings: read, divided into what is trained on and what is held out.

    blocks   b_0, b_1, ...   lines in a row, of about equally many characters
    held out b_i where i = p // 2 (mod p), p = round(1 / share)

Blocks from the whole text are held out, so that the validation loss is of the same mixture. Blocks
between two of them are one document; each document begins with the tokenizer's end of text, if it
has one.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from impl.config import GPT2Config

BLOCK = 2000
"""Characters of a block at most, but for a longer line."""

PROMPT_CHARACTERS = 40
"""A sample's prompt has the first words of the held-out text up to this length."""


class TextError(ValueError):
    """A text that a model cannot be trained on, in one sentence."""


@dataclass(frozen=True, slots=True)
class OwnText:
    """A text that was read.

    Attributes:
        file: where it was read.
        sha256: of its bytes.
        training: documents to train on.
        validation: documents that are held out.
    """

    file: Path
    sha256: str
    training: tuple[str, ...]
    validation: tuple[str, ...]


def read_text(file: Path, share: float) -> OwnText:
    """Read and divide a text.

    Args:
        file: of text in UTF-8.
        share: of it that is held out, above 0 and at most a half.

    Raises:
        TextError: where it cannot be read, is not UTF-8, or has too little to be divided.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TextError(f"{file} cannot be read: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise TextError(f"{file} is not UTF-8: byte {error.start} begins no character") from None
    training, validation = divided(text, share)
    if not training or not validation:
        raise TextError(f"{file} is too short: {len(text)} characters cannot be divided")
    return OwnText(file, hashlib.sha256(data).hexdigest(), training, validation)


def divided(text: str, share: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Documents to train on, and documents that are held out; no character is lost between them."""
    period = max(2, round(1 / share))
    text = text.strip()
    count = period * math.ceil(len(text) / (period * BLOCK))
    blocks = _blocks(text, math.ceil(len(text) / max(1, count)))
    training: list[list[str]] = [[]]
    validation = []
    for index, block in enumerate(blocks):
        if index % period == period // 2:
            validation.append(block)
            training.append([])
        else:
            training[-1].append(block)
    return tuple("".join(part) for part in training if part), tuple(validation)


def _blocks(text: str, size: int) -> list[str]:
    """Whole lines up to a size; a line that is longer is cut after a space."""
    blocks, start = [], 0
    while start < len(text):
        end = start + max(1, size)
        if end < len(text):
            cut = max(text.rfind("\n", start, end), 0) or text.rfind(" ", start, end)
            end = cut + 1 if cut > start else end
        blocks.append(text[start:end])
        start = end
    return blocks


def encoded(tokenizer: Any, documents: Sequence[str]) -> torch.Tensor:
    """The documents in one row: int64 `[tokens]`."""
    import torch

    start = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # tokenizer.json may ask for it, and would cut documents short
    rows = backend.encode_batch(list(documents), add_special_tokens=False)
    return torch.tensor([token for row in rows for token in (*start, *row.ids)])


def load_tokenizer(name: str, folder: Path | None, config: GPT2Config) -> Any:
    """The tokenizer of a checkpoint, as transformers reads it.

    Raises:
        CheckpointError: where there is none, or it has more tokens than the model.
    """
    from transformers import AutoTokenizer

    if folder is None:
        raise CheckpointError(f"{name} has no tokenizer, so that no text can be given to it")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        highest = max(tokenizer.get_vocab().values())
    except Exception as error:  # each library has its own; some raise Exception itself
        raise CheckpointError(f"{name}: its tokenizer cannot be read: {error}") from None
    if not tokenizer.is_fast:
        raise CheckpointError(f"{name}: its tokenizer is not one of the tokenizers library")
    if highest >= config.vocab_size:
        raise CheckpointError(
            f"{name}: its tokenizer has token {highest}, and the model {config.vocab_size} tokens"
        )
    return tokenizer


def check_lengths(text: OwnText, training: int, validation: int, length: int) -> None:
    """Raise TextError where there are fewer tokens than a window takes."""
    if training < length + 2:
        raise TextError(
            f"{text.file} is too short: {training} tokens to train on, and a window takes "
            f"{length + 1}; give more text or a smaller --length"
        )
    if validation < 2:
        raise TextError(f"{text.file} is too short: its held-out part has {validation} tokens")


def first_words(text: str) -> str:
    """The beginning of a text, on one line, cut after a word."""
    line = " ".join(text[: 4 * PROMPT_CHARACTERS].split())
    found = re.match(rf"(.{{1,{PROMPT_CHARACTERS}}})(?:\s|$)", line)
    return found[1] if found else line[:PROMPT_CHARACTERS]
