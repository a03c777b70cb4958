"""Texts of tokens, by the tokenizer that belongs to a checkpoint."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import transformers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Vocabulary:
    """A tokenizer of transformers.

    Args:
        tokenizer: as `AutoTokenizer` returns it.
        size: rows of the model's embedding; tokens beyond the tokenizer's have no text.
    """

    def __init__(self, tokenizer: Any, size: int) -> None:
        self._tokenizer, self.size = tokenizer, size

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with what the tokenizer puts before it."""
        return [int(one) for one in self._tokenizer.encode(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; those that are special are left out, as servers do."""
        return str(
            self._tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def text_of(self, token: int) -> str:
        """The text of one token alone, special ones too."""
        return str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))

    @property
    def special(self) -> frozenset[int]:
        """Ids that stand for no text."""
        return frozenset(int(one) for one in self._tokenizer.all_special_ids)

    @cached_property
    def by_text(self) -> Mapping[str, Sequence[int]]:
        """All ids by their text; several where they are bytes of a longer character."""
        found: dict[str, list[int]] = {}
        for token in range(min(self.size, len(self._tokenizer))):
            found.setdefault(self.text_of(token), []).append(token)
        return found


def vocabulary_of(folder: Path | None, size: int) -> Vocabulary | None:
    """The tokenizer in a checkpoint's folder; None where there is none that can be read."""
    names = ("tokenizer.json", "vocab.json", "tokenizer.model")
    if folder is None or not any((folder / name).is_file() for name in names):
        return None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError):
        return None
    return Vocabulary(tokenizer, size)
