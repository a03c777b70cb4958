"""GPT-2's byte-level BPE: text to token ids and back, also one token at a time."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]

END_OF_TEXT = "<|endoftext|>"
"""GPT-2's only special token, unless tokenizer_config.json names another as `eos_token`."""


class TokenizerError(ValueError):
    """A tokenizer that cannot be used, or a text that it cannot take, told in one sentence."""


class Tokenizer:
    """Text to GPT-2's token ids and back.

    Attributes:
        vocab_size: ids run from 0 to vocab_size - 1.
        eos_token_id: the end of a text, None where the vocabulary has no such token.
    """

    def __init__(self, backend: Backend, eos_token: str = END_OF_TEXT) -> None:
        """Wrap a tokenizer of the tokenizers library.

        Raises:
            TokenizerError: if it is not a byte-level BPE.
        """
        if not isinstance(backend.decoder, decoders.ByteLevel):
            raise TokenizerError("the tokenizer is not a byte-level BPE, which GPT-2 uses")
        # tokenizer.json may ask for both, and would cut a prompt short without a word.
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.vocab_size: int = max(backend.get_vocab().values(), default=-1) + 1
        self.eos_token_id: int | None = backend.token_to_id(eos_token)

    @property
    def pad_token_id(self) -> int:
        """GPT-2 has no token for padding: the end of text is used, or 0 where there is none."""
        return self.eos_token_id or 0

    @classmethod
    def load(cls, folder: Path, *, model_vocab_size: int | None = None) -> Tokenizer:
        """Read `tokenizer.json`, or else `vocab.json` and `merges.txt`.

        Args:
            folder: where the files lie.
            model_vocab_size: the model's number of tokens, which must be enough for all ids.

        Raises:
            TokenizerError: for a missing or damaged file, or a model with too few tokens.
        """
        tokenizer = cls(_read_backend(folder), _read_eos_token(folder))
        if model_vocab_size is not None and tokenizer.vocab_size > model_vocab_size:
            raise TokenizerError(
                f"the tokenizer in {folder} has {tokenizer.vocab_size} tokens, "
                f"more than the model's {model_vocab_size}"
            )
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`.

        Raises:
            TokenizerError: if the text holds half a character (a lone surrogate).
        """
        return list(self._backend.encode(_valid(text)).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`, special tokens included; bytes that are no UTF-8 become U+FFFD."""
        return str(self._backend.decode(list(ids), skip_special_tokens=False))

    def encode_batch(
        self, texts: Sequence[str], *, padding: Literal["left", "right"] = "left"
    ) -> tuple[Array, Array]:
        """Token ids of several texts, padded to the longest.

        Args:
            texts: at least one.
            padding: the side that is filled with `pad_token_id`.

        Returns:
            ids int64 `[batch, length]`, and a mask int64 of the same shape: 1 token, 0 padding.

        Raises:
            TokenizerError: for no text, an unknown side, or half a character.
        """
        if padding not in ("left", "right"):
            raise TokenizerError(f"padding is left or right, not {padding!r}")
        if not texts:
            raise TokenizerError("there is no text to encode")
        rows = [self.encode(text) for text in texts]
        shape = (len(rows), max(map(len, rows)))
        ids, mask = np.full(shape, self.pad_token_id, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(rows):
            start = shape[1] - len(tokens) if padding == "left" else 0
            ids[row, start : start + len(tokens)] = tokens
            mask[row, start : start + len(tokens)] = 1
        return ids, mask

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one token stands for; none for an id without a token."""
        text = self._backend.id_to_token(token)
        if text is None:
            return b""
        if all(character in _BYTE_OF for character in text):
            return bytes(_BYTE_OF[character] for character in text)
        return str(text).encode()  # a token that was added to the vocabulary as plain text


class TextStream:
    """Text from tokens that come one at a time, cut at the first stop text.

    A character's bytes can lie in several tokens, and a stop text too. What may be the beginning
    of either is held back until the next token decides.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        """Start an empty text; the first of `stops` to be complete ends it, and is left out.

        So the text does not depend on where tokens are cut. Of two that are complete at once, the
        longer one is left out.
        """
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def feed(self, token: int) -> str:
        """Add one token, and return the text that is certain by now."""
        return self._release(self._decoder.decode(self._tokenizer.token_bytes(token)))

    def finish(self) -> str:
        """Return what is held back, now that no token follows."""
        text = self._release(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [(at + len(s), at) for s in self._stops if (at := text.find(s)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        safe = len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[safe:]
        return text[:safe]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for the 256 bytes: itself where it prints, else one from U+0100 on."""
    printing = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    alphabet = {chr(byte): byte for byte in printing}
    return alphabet | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()


def _valid(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TokenizerError(f"the text is not valid Unicode at character {error.start}") from None
    return text


def _read_backend(folder: Path) -> Backend:
    """Raise a TokenizerError for missing or damaged files."""
    whole, vocab, merges = (folder / n for n in ("tokenizer.json", "vocab.json", "merges.txt"))
    try:
        if whole.is_file():
            return Backend.from_file(str(whole))
        if not (vocab.is_file() and merges.is_file()):
            raise TokenizerError(
                f"no tokenizer in {folder}: tokenizer.json, or vocab.json and merges.txt, is needed"
            )
        backend = Backend(models.BPE.from_file(str(vocab), str(merges)))
    except TokenizerError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(f"the tokenizer in {folder} cannot be read: {error}") from error
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    if backend.token_to_id(END_OF_TEXT) is not None:
        backend.add_special_tokens([END_OF_TEXT])
    return backend


def _read_eos_token(folder: Path) -> str:
    """The `eos_token` of tokenizer_config.json: a string, or an object with `content`."""
    try:
        values = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return END_OF_TEXT
    except (OSError, ValueError) as error:
        raise TokenizerError(f"tokenizer_config.json in {folder} cannot be read: {error}") from None
    named = values.get("eos_token") if isinstance(values, dict) else None
    content = named.get("content") if isinstance(named, dict) else named
    return content if isinstance(content, str) else END_OF_TEXT
