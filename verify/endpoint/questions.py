"""What a server is asked, and what its answers must be, besides each being the model's own.

Prompts are drawn; their lengths lie around a page's end (128 tokens, as MAX keeps keys and values)
and around the end of the context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.endpoint.answering import Asked
from verify.endpoint.client import Question
from verify.endpoint.simulated import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from verify.endpoint.abilities import Abilities
    from verify.endpoint.answering import Judged
    from verify.endpoint.client import Answer
    from verify.endpoint.standard import Standard

    Compare = Callable[[Sequence[Answer], Sequence[Judged]], str]

TOKENS = 8
"""Tokens of most answers."""

LENGTHS = (1, 2, PAGE - 1, PAGE, PAGE + 1)
"""Prompts' lengths, besides those that the context gives."""

UNEVEN = (1, 5, 33, 64, 100, 127, 129, 150)
"""Lengths of prompts that are asked at once."""

LOADED = (1, 2, 17, 33, 65, 100, 127, 128, 129, 140)
"""Lengths of the prompts of many requests at once."""

DRAWS = 300
"""Tokens drawn one at a time from the same distribution."""

DRAWN_AT_ONCE = 25

TEMPERATURE = 0.7
"""At which they are drawn."""

SEEDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Some questions that belong together.

    Attributes:
        name: in a few words.
        group: what it is for, one of `GROUPS`.
        asked: the questions.
        at_once: how many of them are asked at once.
        compare: what must hold between the answers: a sentence where it does not, else "".
        refusable: whether the server may refuse, with a 4xx and a reason.
        drawn: whether the answers' first tokens are a sample of one distribution.
    """

    name: str
    group: str
    asked: tuple[Asked, ...]
    at_once: int = 1
    compare: Compare | None = None
    refusable: bool = False
    drawn: bool = False


GROUPS = {
    "alone": "one request at a time",
    "text": "prompts as text",
    "context": "the end of the context",
    "batch": "several at once",
    "prefix": "a prefix that was seen before",
    "stream": "streaming",
    "stop": "stop tokens",
    "sampling": "temperature and seeds",
    "load": "many at once",
}
"""What cases are for."""


class Questions:
    """All cases for one server.

    Args:
        standard: of the model.
        abilities: what the server takes.
        context: tokens that the server takes at most.
        seed: draws prompts.
    """

    def __init__(
        self, standard: Standard, abilities: Abilities, context: int, seed: int = 0
    ) -> None:
        self.standard, self.abilities, self.context = standard, abilities, context
        self._seed = seed

    def cases(self, requests: int, texts: Sequence[str] = ()) -> Iterator[Case]:
        """Every case, in the order in which they are asked.

        Args:
            requests: how many are asked at once in the end.
            texts: prompts of the user's.
        """
        yield from self._alone()
        yield from self._texts(texts)
        yield from self._context()
        yield from self._batch()
        yield from self._prefix()
        yield from self._stream()
        yield from self._stop()
        yield from self._sampling()
        yield from self._load(requests)

    # ---- prompts ------------------------------------------------------------------------------

    def prompt(self, length: int, number: int = 0) -> tuple[int, ...]:
        """Token ids that are drawn; where the server takes text alone, those of a text.

        The last one ends a character, so that the answer's text begins with one.
        """
        model = self.standard.model
        rng = np.random.default_rng([self._seed, length, number])
        special = model.ends | (model.vocabulary.special if model.vocabulary else frozenset())
        usual = [one for one in range(model.size) if one not in special]
        ids = [int(one) for one in rng.choice(usual, length)]
        while model.vocabulary and "\ufffd" in model.vocabulary.text_of(ids[-1]):
            ids[-1] = int(rng.choice(usual))
        if self.abilities.ids or model.vocabulary is None:
            return tuple(ids)
        return self._as_text(ids, length)

    def _as_text(self, ids: Sequence[int], length: int) -> tuple[int, ...]:
        """The ids of a text that has about as many, so that encoding it gives them again."""
        words = self.standard.model.vocabulary
        assert words is not None
        text = "".join(words.text_of(one) for one in ids if words.text_of(one).isascii())
        found = words.encode(text or "a")
        for count in range(min(length, len(found)), 0, -1):
            again = words.encode(words.decode(found[:count]))
            if again == found[:count]:
                return tuple(again)
        return tuple(found)

    def asked(self, prompt: Sequence[int], most: int = TOKENS, **more: Any) -> Asked:
        """A question for the likeliest tokens, unless `more` says otherwise.

        Args:
            prompt: token ids.
            most: tokens to generate at most.
            more: `stream`, `stops`, `greedy`, `stop_text`, and further fields of the body; one that
                is None is not sent.
        """
        stops = frozenset(more.pop("stops", ()))
        own = {name: more.pop(name) for name in ("greedy", "stop_text") if name in more}
        stream = bool(more.pop("stream", False))
        told = self.abilities.fields(**{"temperature": 0, **more})
        options = {name: value for name, value in told.items() if value is not None}
        words = self.standard.model.vocabulary
        sent: Any = tuple(prompt)
        if not self.abilities.ids:
            assert words is not None
            sent = words.decode(list(prompt))
        question = Question(prompt=sent, max_tokens=most, stream=stream,
                            logprobs=self.abilities.logprobs, options=options)  # fmt: skip
        return Asked(question=question, prompt=tuple(prompt), stops=stops, **own)

    def _fits(self, length: int, most: int = TOKENS) -> bool:
        return length + most <= self.context

    # ---- cases --------------------------------------------------------------------------------

    def _alone(self) -> Iterator[Case]:
        lengths = dict.fromkeys((*LENGTHS, self.context // 2))
        for length in (one for one in lengths if self._fits(one)):
            name = f"a prompt of {_tokens(length)}"
            yield Case(name=name, group="alone", asked=(self.asked(self.prompt(length)),))
        if self._fits(PAGE - 4, 12):
            yield Case(
                name="an answer across a page's end",
                group="alone",
                asked=(self.asked(self.prompt(PAGE - 4), 12),),
            )
        yield Case(
            name="max_tokens of 1, 2 and 3",
            group="alone",
            asked=tuple(self.asked(self.prompt(9), most) for most in (1, 2, 3)),
        )

    def _texts(self, texts: Sequence[str]) -> Iterator[Case]:
        words = self.standard.model.vocabulary
        for text in texts if words else ():
            assert words is not None
            prompt = tuple(words.encode(text))
            asked = self.asked(prompt, min(16, self.context - len(prompt)))
            asked = replace(asked, question=replace(asked.question, prompt=text))
            yield Case(name=f"the text {text[:30]!r}", group="text", asked=(asked,))

    def _context(self) -> Iterator[Case]:
        most = self.context
        yield Case(
            name="max_tokens beyond the end of the context",
            group="context",
            asked=(self.asked(self.prompt(most - 5), 20),),
            refusable=True,
        )
        yield Case(
            name="the whole context but for one token",
            group="context",
            asked=(self.asked(self.prompt(most - 1), 1),),
            refusable=True,
        )
        yield Case(
            name="the whole context, no token left",
            group="context",
            asked=(self.asked(self.prompt(most), 1),),
            refusable=True,
        )

    def _batch(self) -> Iterator[Case]:
        lengths = [one for one in UNEVEN if self._fits(one)]
        asked = tuple(self.asked(self.prompt(one, 1)) for one in lengths)
        yield Case(name="uneven prompts at once", group="batch", asked=asked, at_once=len(asked))
        same = tuple(self.asked(self.prompt(9, 2), most) for most in (3, 8, 16, 5))
        yield Case(
            name="one prompt at once, answers of several lengths",
            group="batch",
            asked=same,
            at_once=len(same),
        )

    def _prefix(self) -> Iterator[Case]:
        if not self._fits(PAGE + 14):
            return
        first = self.prompt(PAGE + 12, 3)
        other = self.prompt(PAGE + 12, 4)
        changed = (*first[:3], other[3], *first[4:])
        yield Case(
            name="the same prompt again",
            group="prefix",
            asked=(self.asked(first),) * 2,
            compare=_same,
        )
        yield Case(
            name="the same first page, another end",
            group="prefix",
            asked=(self.asked((*first[:PAGE], *other[PAGE:])), self.asked(first[: PAGE + 1])),
        )
        yield Case(
            name="a prompt that differs in one token of the first page",
            group="prefix",
            asked=(self.asked(changed), self.asked(first)),
        )

    def _stream(self) -> Iterator[Case]:
        if not self.abilities.stream:
            return
        for length in (one for one in (2, 33, PAGE + 1) if self._fits(one)):
            prompt = self.prompt(length, 5)
            yield Case(
                name=f"streamed and at once, {_tokens(length)}",
                group="stream",
                asked=tuple(self.asked(prompt, stream=one) for one in (False, True)),
                compare=_same,
            )

    def _stop(self) -> Iterator[Case]:
        prompt = self.prompt(33, 6)
        due = self.standard.greedy(prompt, TOKENS)
        at = next((n for n in range(2, len(due)) if due[n] not in due[:n]), None)
        if at is None:
            return
        streams = (False, True) if self.abilities.stream else (False,)
        if "stop_token_ids" in self.abilities.options:
            asked = tuple(
                self.asked(
                    prompt,
                    16,
                    stream=one,
                    stops={due[at]},
                    stop_token_ids=[due[at]],
                    ignore_eos=None,
                )
                for one in streams
            )
            yield Case(name=f"a stop token after {at + 1}", group="stop", asked=asked)
        words = self.standard.model.vocabulary
        if words is None or not (text := words.text_of(due[at])).strip("\ufffd "):
            return
        if text not in words.decode(due[:at]):
            asked = tuple(
                self.asked(prompt, 16, stream=one, stop_text=text, stop=[text], ignore_eos=None)
                for one in streams
            )
            yield Case(name=f"a stop text after {at + 1} tokens", group="stop", asked=asked)

    def _sampling(self) -> Iterator[Case]:
        seeded = "seed" in self.abilities.options
        prompt = self.prompt(17, 7)
        if seeded and self.abilities.returned:
            once = self.asked(prompt, 16, greedy=False, temperature=1.0, seed=11)
            yield Case(
                name="the same seed, the same text",
                group="sampling",
                asked=(once, once),
                compare=_same,
            )
            asked = tuple(
                self.asked(prompt, 16, greedy=False, temperature=1.0, seed=one)
                for one in range(SEEDS)
            )
            yield Case(
                name="other seeds, other texts", group="sampling", asked=asked, compare=_unlike
            )
        if not self.abilities.returned:
            return
        if self.abilities.logprobs is not None:
            asked = (self.asked(prompt, greedy=False, temperature=0.5, **_seed(seeded, 3)),)
            yield Case(name="log-probabilities at temperature 0.5", group="sampling", asked=asked)
        draws = tuple(
            self.asked(
                prompt, 1, greedy=False, temperature=TEMPERATURE, **_seed(seeded, 1000 + one)
            )
            for one in range(DRAWS)
        )
        yield Case(
            name=f"{DRAWS} draws at temperature {TEMPERATURE}",
            group="sampling",
            asked=draws,
            at_once=DRAWN_AT_ONCE,
            drawn=True,
        )

    def _load(self, requests: int) -> Iterator[Case]:
        lengths = [one for one in LOADED if self._fits(one)]
        asked = tuple(
            self.asked(
                self.prompt(lengths[one % len(lengths)], 8 + one // (2 * len(lengths)) % 2),
                stream=bool(one // len(lengths) % 2) and self.abilities.stream,
            )
            for one in range(requests)
        )
        if asked:
            yield Case(
                name=f"{requests} requests at once", group="load", asked=asked, at_once=requests
            )


def _seed(seeded: bool, value: int) -> dict[str, int]:
    return {"seed": value} if seeded else {}


def _tokens(count: int) -> str:
    return f"{count} token{'s' * (count != 1)}"


def _same(answers: Sequence[Answer], judged: Sequence[Judged]) -> str:
    """Two answers to the same question are the same, unless a tie parted them."""
    first, second = answers
    if first.text == second.text and judged[0].ids == judged[1].ids:
        return ""
    if any(one.ties for one in judged):
        return ""
    return f"the same question has two answers: {_shown(first)} and {_shown(second)}"


def _unlike(answers: Sequence[Answer], judged: Sequence[Judged]) -> str:
    """Sampled answers with other seeds are not all the same."""
    if len({one.ids for one in judged}) > 1:
        return ""
    return f"{len(answers)} seeds have the same answer: {_shown(answers[0])}"


def _shown(answer: Answer) -> str:
    return repr(answer.text) if answer.text else str(list(answer.ids))
