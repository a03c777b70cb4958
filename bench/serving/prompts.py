"""What is asked: token ids drawn with a seed, each with the text that is encoded to just these.

Servers that take token ids get ids, others the text, so that all of them see the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports.commands import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impl.tokenizer import Tokenizer

TRIES = 200
PLAIN = range(32, 127)
"""Bytes of tokens that texts are made of: ASCII without control characters."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, and the text that encodes to them; None without a tokenizer."""

    ids: tuple[int, ...]
    text: str | None


def draw(
    count: int, lengths: tuple[int, int], seed: int, vocab_size: int, tokenizer: Tokenizer | None
) -> list[Prompt]:
    """Draw prompts, no two of them alike.

    Args:
        count: how many.
        lengths: the least and most tokens, each number between as likely.
        seed: draws them.
        vocab_size: of the model.
        tokenizer: of the model; None leaves out the texts.

    Raises:
        UsageError: where the tokenizer makes no such prompts, or there are not so many.
    """
    rng = np.random.default_rng([seed, 15])
    plain = _plain(tokenizer) if tokenizer else []
    found: dict[tuple[int, ...], Prompt] = {}
    for _ in range(count * TRIES):
        if len(found) == count:
            break
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        if tokenizer is None:
            ids = tuple(map(int, rng.integers(vocab_size, size=length)))
            found[ids] = Prompt(ids, None)
        elif prompt := _with_text(rng, length, plain, tokenizer):
            found[prompt.ids] = prompt
    if len(found) < count:
        raise UsageError(f"{len(found)} of {count} different prompts could be drawn")
    return list(found.values())


def _plain(tokenizer: Tokenizer) -> list[int]:
    """Tokens of plain letters, which make texts that are cut into tokens again alike."""
    return [
        token
        for token in range(tokenizer.vocab_size)
        if (data := tokenizer.token_bytes(token)) and all(byte in PLAIN for byte in data)
        and token != tokenizer.eos_token_id
    ]  # fmt: skip


def _with_text(
    rng: np.random.Generator, length: int, plain: Sequence[int], tokenizer: Tokenizer
) -> Prompt | None:
    drawn = rng.choice(plain, 3 * length + 8)
    ids = tokenizer.encode(tokenizer.decode(map(int, drawn)))[:length]
    text = tokenizer.decode(ids)
    same = len(ids) == length and tokenizer.encode(text) == ids
    return Prompt(tuple(ids), text) if same else None
