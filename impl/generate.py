"""Text generation: one token a step for every row, until each row has a reason to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.runtime import InputError, check_ids
from impl.tokenizer import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from impl.config import GPT2Config
    from impl.next_token import NextToken
    from impl.tokenizer import Tokenizer

    Array = npt.NDArray[Any]


class Finish(StrEnum):
    """Why a row ended; the value is the end of a sentence."""

    STOPPED = "a stop token came"
    MAX_NEW_TOKENS = "the number of new tokens was reached"
    CONTEXT_FULL = "the model's context is full"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step appended to a batch.

    Attributes:
        tokens: int64 `[batch]`; a row that ended before repeats its stop token.
        live: bool `[batch]`, True where the token is new.
        finished: per row why it ended, None while it goes on.
    """

    tokens: Array
    live: Array
    finished: tuple[Finish | None, ...]


@dataclass(slots=True)
class Tally:
    """What a run of one row has come to.

    Attributes:
        tokens: how many came.
        finish: why no more came; None where nobody asked for more.
        prefill_s: until the first token was there, in seconds.
        decode_s: computing all others, in seconds; what is done with them is not counted.
    """

    tokens: int = 0
    finish: Finish | None = None
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def watch(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Hand the steps on, and count them."""
        start_s = time.perf_counter()
        for step in steps:
            self._count(time.perf_counter() - start_s)
            self.finish = step.finished[0]
            yield step
            start_s = time.perf_counter()

    def _count(self, duration_s: float) -> None:
        if self.tokens == 0:
            self.prefill_s = duration_s
        else:
            self.decode_s += duration_s
        self.tokens += 1


def generate(
    model: NextToken,
    prompt_ids: Array,
    *,
    max_new_tokens: int,
    sampler: Callable[[Array], Array],
    stop_tokens: Collection[int] = (),
) -> Iterator[Step]:
    """Continue prompts of equal length, token by token.

    A stop token is given out and ends its row; the others go on. Prompt and new tokens together
    are never more than the model's `n_positions`. Everything is checked before the first step.

    Args:
        model: gives the logits of the next token.
        prompt_ids: integers `[batch, length]`, without padding.
        max_new_tokens: at least 1.
        sampler: logits `[batch, vocab_size]` to tokens int64 `[batch]`, as `impl.sampling.Sampler`.
        stop_tokens: ids that end a row.

    Raises:
        InputError: for prompts that the model cannot take or that leave no room, or for
            `max_new_tokens` below 1.
    """
    prompt = check_prompt(model.config, prompt_ids, max_new_tokens)
    room = model.config.n_positions - prompt.shape[1]
    limit = Finish.MAX_NEW_TOKENS if max_new_tokens <= room else Finish.CONTEXT_FULL
    return _steps(model, prompt, min(max_new_tokens, room), limit, sampler, stop_tokens)


def text_pieces(
    steps: Iterable[Step], tokenizer: Tokenizer, stops: Sequence[str] = ()
) -> Iterator[str]:
    """The first row's text, as far as it is certain at each step, without what stopped it.

    Args:
        steps: as `generate` yields them; none is taken after a stop text.
        tokenizer: the model's own.
        stops: texts that end the continuation.
    """
    text = TextStream(tokenizer, stops)
    for step in steps:
        if step.finished[0] is not Finish.STOPPED:
            yield text.feed(int(step.tokens[0]))
        if text.stopped:
            return
    yield text.finish()


def check_prompt(config: GPT2Config, prompt_ids: Array, max_new_tokens: int) -> Array:
    """Return the prompts as int64 `[batch, length]`, or raise what `generate` raises."""
    prompt = check_ids(config, prompt_ids)
    if max_new_tokens < 1:
        raise InputError(f"the number of new tokens must be at least 1, not {max_new_tokens}")
    if prompt.shape[1] == config.n_positions:
        raise InputError(
            f"the prompt takes all of the model's {config.n_positions} positions: "
            "there is no room for a new token"
        )
    return prompt


def _steps(
    model: NextToken,
    prompt: Array,
    count: int,
    limit: Finish,
    sampler: Callable[[Array], Array],
    stop_tokens: Collection[int],
) -> Iterator[Step]:
    """Take at most `count` steps; rows that are left then end for the reason `limit`."""
    ids, stops = prompt, np.array(sorted(stop_tokens), np.int64)
    live = np.ones(len(prompt), bool)
    for taken in range(1, count + 1):
        tokens = np.where(live, sampler(model.logits(ids)), ids[:, -1])
        ids = np.concatenate([ids, tokens[:, None]], axis=1)  # [batch, length + taken]
        going = ~np.isin(tokens, stops)  # a row that ended repeats its stop token
        at_limit = limit if taken == count else None
        finished = tuple(at_limit if row else Finish.STOPPED for row in going)
        yield Step(tokens, live, finished)
        live = going
        if not live.any():
            return
