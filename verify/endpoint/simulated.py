"""What a server would answer, computed in this process: right, or with one fault planted.

transformers' own model decodes with a cache of keys and values, one token a step; requests take
turns, as they do in a server. It shows what a plan of questions would notice, and behind HTTP it is
the server that tests ask.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
import transformers

from verify.endpoint.client import Answer, Piece

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from verify.endpoint.client import Question
    from verify.endpoint.vocabulary import Vocabulary

PAGE = 128
"""Tokens whose keys and values are kept for the next prompt that begins alike."""

PAGES_KEPT = 8

CROWD = 16
"""Requests at a time from which two of them may be mixed up."""

PARKED_S = 1.0
"""How long one of them waits for another."""

FAULTS = {
    "position-from-0": "a decoded token's position counts from 0, not from the prompt's end",
    "page-end": "the first token of each page of 128 has the position of the one before",
    "other-row": "a request reads the keys and values of another one that runs beside it",
    "stale-prefix": "a cached page is taken for a prompt that differs from it in one token",
    "dropped-piece": "a stream ends without its last token",
    "exchanged": "two requests get each other's answer where many run at once",
    "temperature-ignored": "what is sampled is drawn at temperature 1, whatever is asked for",
    "seed-ignored": "the same seed gives another text",
    "stop-ignored": "a stop token does not end the answer",
    "one-too-many": "one token more than max_tokens",
    "tempered-logprobs": "log-probabilities are those after the temperature",
    "epsilon": "the last norm's epsilon is a tenth of what it should be",
}
"""What can be planted, by name, in words."""


class RefusedError(Exception):
    """A question that cannot be answered, and why; HTTP says it with a 400."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token: its id, log-probability, and alternatives by id, likeliest first."""

    id: int
    logprob: float
    tops: tuple[tuple[int, float], ...]


@dataclass(slots=True)
class Live:
    """A request that is being answered.

    Attributes:
        prompt: token ids.
        most: tokens to generate at most.
        options: of the question.
        logprobs: how many alternatives are asked for; None for none.
        cache: keys and values of all tokens but the last.
        tokens: generated so far.
        finished: why it has ended, as servers say it; empty while it has not.
    """

    prompt: list[int]
    most: int
    options: Mapping[str, Any]
    logprobs: int | None
    generator: torch.Generator | None
    cache: Any = None
    tokens: list[Token] = field(default_factory=list)
    finished: str = ""


class Simulated:
    """A model that answers questions; also `verify.endpoint.client.Endpoint`'s stand-in.

    Args:
        model: a causal language model of transformers, in eval mode.
        vocabulary: texts of tokens; None where there is no tokenizer.
        fault: one of `FAULTS`; empty for none.
        name: what the model is served as.
    """

    def __init__(
        self, model: Any, vocabulary: Vocabulary | None, fault: str = "", name: str = "model"
    ) -> None:
        self.model, self.vocabulary, self.fault, self.name = model, vocabulary, fault, name
        if fault == "epsilon":
            self.model = _with_other_epsilon(model)
        self.context = int(model.config.max_position_embeddings)
        self.size = int(model.config.vocab_size)
        self._live: list[Live] = []
        self._pages: dict[tuple[int, ...], Any] = {}
        self._parked: deque[tuple[Live, asyncio.Future[Live]]] = deque()

    async def models(self) -> list[str]:
        """The one that it serves."""
        return [self.name]

    async def ask(self, question: Question) -> Answer:
        """An answer in this process, as `Endpoint.ask` gives it."""
        answer = Answer(question, time.perf_counter_ns(), status=200)
        try:
            pieces = [piece async for piece in self.pieces(question)]
        except RefusedError as error:
            answer = replace(answer, status=400, error=str(error))
            pieces = []
        if pieces and not question.stream:
            pieces = [_joined(pieces)]
        return replace(answer, pieces=tuple(pieces), ended_ns=time.perf_counter_ns())

    async def pieces(self, question: Question) -> AsyncIterator[Piece]:
        """The answer, one token a piece.

        Raises:
            RefusedError: for a question that cannot be answered.
        """
        live = self.begin(question)
        self._live.append(live)
        own = live
        try:
            live = await self._mixed_up(live)
            told = ""
            while True:
                await asyncio.sleep(0)
                token = self.step(live)
                ended = bool(live.finished)
                text = self._text(live, last=ended)
                dropped = ended and question.stream and self.fault == "dropped-piece"
                yield self._piece(live, token, text[len(told) :], dropped=dropped)
                if ended:
                    break
                told = text
        finally:
            self._live[:] = [one for one in self._live if one is not own]

    def begin(self, question: Question) -> Live:
        """Read a question.

        Raises:
            RefusedError: where something in it is wrong.
        """
        prompt = self._ids(question.prompt)
        most = self._most(question, prompt)
        options = question.options
        _check_options(options)
        seed = options.get("seed")
        generator = torch.Generator()
        if seed is None or self.fault == "seed-ignored":
            generator.seed()
        else:
            generator.manual_seed(int(seed))
        return Live(prompt, most, options, question.logprobs, generator)

    def step(self, live: Live) -> Token:
        """Generate one token of a request."""
        logits = self._logits(live).double()
        token = self._chosen(logits, live)
        live.tokens.append(token)
        live.finished = self._end(live, token)
        return token

    def _ids(self, prompt: Sequence[int] | str) -> list[int]:
        if isinstance(prompt, str):
            if self.vocabulary is None:
                raise RefusedError("there is no tokenizer: prompts are token ids")
            prompt = self.vocabulary.encode(prompt)
        if not prompt:
            raise RefusedError("the prompt is empty")
        for one in prompt:
            if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < self.size:
                raise RefusedError(f"token id {one!r} is not one of 0 to {self.size - 1}")
        return list(prompt)

    def _most(self, question: Question, prompt: Sequence[int]) -> int:
        if len(prompt) >= self.context:
            told = f"the prompt has {len(prompt)} tokens, and the model {self.context} positions"
            raise RefusedError(told)
        most = 16 if question.max_tokens is None else question.max_tokens
        if not isinstance(most, int) or most < 1:
            raise RefusedError(f"max_tokens is {most!r}, and must be at least 1")
        if question.logprobs is not None and not 0 <= question.logprobs <= 7:
            raise RefusedError("logprobs must be 0 to 7")
        most += self.fault == "one-too-many"
        return min(most, self.context - len(prompt))

    async def _mixed_up(self, live: Live) -> Live:
        """The request that is answered: another one's, where that fault is planted."""
        if self.fault != "exchanged" or len(self._live) < CROWD:
            return live
        if not self._parked:
            mine: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
            self._parked.append((live, mine))
            done, _ = await asyncio.wait([mine], timeout=PARKED_S)
            if not done:
                self._parked.clear()
            return mine.result() if done else live
        other, theirs = self._parked.popleft()
        theirs.set_result(replace(other, prompt=live.prompt))
        return replace(live, prompt=other.prompt)

    @torch.inference_mode()
    def _logits(self, live: Live) -> torch.Tensor:
        """Of the next token, `[vocab_size]`; keys and values of what is fed are kept."""
        if live.cache is None:
            live.cache = self._begun(live)
        done = live.cache.get_seq_length()
        ids = [*live.prompt, *(token.id for token in live.tokens)][done:]
        cache = self._read_by(live)
        positions = self._positions(live, done, len(ids))
        logits = self.model(
            torch.tensor([ids]), past_key_values=cache, use_cache=True,
            position_ids=torch.tensor([positions]),
        ).logits[0, -1]  # fmt: skip
        live.cache = cache
        self._keep_page(live)
        return logits

    def _begun(self, live: Live) -> Any:
        """The cache that a prompt starts with: a page that another one has left, or nothing."""
        for tokens, page in self._pages.items():
            differ = sum(a != b for a, b in zip(tokens, live.prompt, strict=False))
            stale = self.fault == "stale-prefix" and differ == 1
            if len(live.prompt) > PAGE and (differ == 0 or stale):
                return copy.deepcopy(page)
        return transformers.DynamicCache()

    def _keep_page(self, live: Live) -> None:
        if len(live.prompt) < PAGE or live.tokens:
            return
        page = copy.deepcopy(live.cache)
        page.crop(PAGE)
        self._pages[tuple(live.prompt[:PAGE])] = page
        while len(self._pages) > PAGES_KEPT:
            del self._pages[next(iter(self._pages))]

    def _read_by(self, live: Live) -> Any:
        """The cache that a step reads: the request's own, unless that fault is planted."""
        if self.fault != "other-row" or not live.tokens:
            return live.cache
        others = [one for one in self._live if one is not live and one.cache is not None]
        return copy.deepcopy(others[0].cache) if others else live.cache

    def _positions(self, live: Live, done: int, count: int) -> list[int]:
        if self.fault == "position-from-0" and live.tokens:
            first = len(live.tokens) - 1
        elif self.fault == "other-row" and live.tokens:
            first = len(live.prompt) + len(live.tokens) - 1
        else:
            first = done
        positions = range(first, first + count)
        if self.fault == "page-end":
            return [p - 1 if p and p % PAGE == 0 else p for p in positions]
        return list(positions)

    def _chosen(self, logits: torch.Tensor, live: Live) -> Token:
        """Greedy at temperature 0, else drawn."""
        temperature = float(live.options.get("temperature", 1.0))
        plain = logits.log_softmax(-1)
        told = plain
        if temperature and self.fault == "tempered-logprobs":
            told = (logits / temperature).log_softmax(-1)
        if not temperature:
            chosen = int(logits.argmax())
        else:
            used = 1.0 if self.fault == "temperature-ignored" else temperature
            weights = (logits / used).softmax(-1)
            chosen = int(torch.multinomial(weights, 1, generator=live.generator))
        values, ids = told.topk(live.logprobs or 0)
        tops = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        return Token(chosen, float(told[chosen]), tops)

    def _end(self, live: Live, token: Token) -> str:
        stops = {int(one) for one in live.options.get("stop_token_ids") or ()}
        own = self.model.config.eos_token_id
        if own is not None and not live.options.get("ignore_eos"):
            stops |= set(own) if isinstance(own, list) else {own}
        if self.fault == "stop-ignored":
            stops = set()
        enough = len(live.tokens) >= int(live.options.get("min_tokens") or 0)
        if (token.id in stops and enough) or self._stopped_by_text(live):
            return "stop"
        return "length" if len(live.tokens) >= live.most else ""

    def _stopped_by_text(self, live: Live) -> bool:
        return self._cut(live) is not None and self.fault != "stop-ignored"

    def _cut(self, live: Live) -> int | None:
        """Where the first text that ends the answer begins; None where there is none."""
        stops = live.options.get("stop") or ()
        if not stops or self.vocabulary is None:
            return None
        text = self.vocabulary.decode([one.id for one in live.tokens])
        found = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops)]
        return min((at for at in found if at >= 0), default=None)

    def _text(self, live: Live, *, last: bool) -> str:
        """The text so far; a character that is not whole yet is held back."""
        if self.vocabulary is None:
            return ""
        text = self.vocabulary.decode([one.id for one in live.tokens])
        cut = self._cut(live) if self.fault != "stop-ignored" else None
        text = text[:cut]
        return text if last else text.rstrip("\ufffd")

    def _piece(self, live: Live, token: Token, text: str, *, dropped: bool) -> Piece:
        returns = bool(live.options.get("return_token_ids"))
        reason = live.finished or None
        now = time.perf_counter_ns()
        if dropped:
            return Piece(now, "", finish_reason=reason)
        asked = live.logprobs is not None
        names = self.vocabulary.text_of if self.vocabulary else str
        return Piece(
            now,
            text,
            (token.id,) if returns else (),
            (token.logprob,) if asked else (),
            ({names(id_): value for id_, value in token.tops},) if asked else (),
            reason,
        )


def _check_options(options: Mapping[str, Any]) -> None:
    temperature = options.get("temperature", 1.0)
    if not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        raise RefusedError(f"temperature is {temperature!r}, and must be from 0 to 2")
    for name in ("seed", "min_tokens"):
        if options.get(name) is not None and not isinstance(options[name], int):
            raise RefusedError(f"{name} is {options[name]!r}, and must be a whole number")


def _joined(pieces: Sequence[Piece]) -> Piece:
    """The whole answer as one piece."""
    return Piece(
        pieces[-1].arrived_ns,
        "".join(one.text for one in pieces),
        tuple(id_ for one in pieces for id_ in one.ids),
        tuple(value for one in pieces for value in one.logprobs),
        tuple(top for one in pieces for top in one.tops),
        pieces[-1].finish_reason,
    )


def _with_other_epsilon(model: Any) -> Any:
    """A copy whose last norm has a tenth of its epsilon."""
    changed = copy.deepcopy(model)
    norms = [one for one in changed.modules() if "norm" in type(one).__name__.lower()]
    name = "eps" if hasattr(norms[-1], "eps") else "variance_epsilon"
    setattr(norms[-1], name, getattr(norms[-1], name) / 10)
    return changed
