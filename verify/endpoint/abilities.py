"""What a server takes and says beyond OpenAI's completions of text, found out by asking."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from verify.endpoint.answering import failed
from verify.endpoint.client import Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verify.endpoint.client import Answer
    from verify.endpoint.vocabulary import Vocabulary

ALTERNATIVES = 5
"""Alternatives to each token that are asked for: OpenAI's most."""

FEW = (5, 3, 8)
"""Token ids of the prompt that is asked with, if the vocabulary has no texts."""

TEXT = "In the beginning"


class Respondent(Protocol):
    """What answers: a server, or a simulated one."""

    async def models(self) -> list[str]:
        """The names of the models that it serves."""
        ...

    async def ask(self, question: Question) -> Answer:
        """Ask once; whatever goes wrong is in the answer."""
        ...


class UnfitError(Exception):
    """A server that nothing can be asked, in one sentence."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server can be asked.

    Attributes:
        ids: whether prompts may be token ids.
        returned: whether it says the ids of its answers.
        logprobs: how many alternatives it says with log-probabilities; None for none.
        options: fields that it takes: `ignore_eos`, `stop_token_ids`, `seed`, `min_tokens`.
        stream: whether it streams.
        lacking: what it does not do, each with what the server said.
    """

    ids: bool = True
    returned: bool = True
    logprobs: int | None = ALTERNATIVES
    options: frozenset[str] = frozenset({"ignore_eos", "stop_token_ids", "seed"})
    stream: bool = True
    lacking: Mapping[str, str] = field(default_factory=dict)

    def fields(self, **options: Any) -> dict[str, Any]:
        """The further fields of a question: those that it takes, and what makes it say ids."""
        own = {"return_token_ids": True} if self.returned else {}
        ignores = {"ignore_eos": True} if "ignore_eos" in self.options else {}
        return {**own, **ignores, **options}


TRIED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "ignore_eos": ("continues after the end of a text", {"ignore_eos": True}),
    "stop_token_ids": ("stop tokens by their id", {"stop_token_ids": [1]}),
    "seed": ("seeds", {"seed": 1}),
}
"""Fields that are tried one at a time: what they are, in words, and a value."""

WORDS = {
    "ids": "prompts of token ids",
    "returned": "the ids of its tokens",
    "logprobs": "log-probabilities",
    "stream": "streams",
    **{name: words for name, (words, _) in TRIED.items()},
}
"""What may be lacking, in words."""


async def find(server: Respondent, vocabulary: Vocabulary | None) -> Abilities:
    """Ask a server for each thing in turn.

    Raises:
        UnfitError: where it answers nothing that could be judged.
    """
    lacking: dict[str, str] = {}
    plain = Question(prompt=list(FEW), max_tokens=2, options={"temperature": 0})
    answer = await server.ask(plain)
    if not answer.ok:
        lacking["ids"] = failed(answer)
        if vocabulary is None:
            told = f"the server takes no token ids ({failed(answer)}), and the model no tokenizer"
            raise UnfitError(told)
        plain = Question(prompt=TEXT, max_tokens=2, options={"temperature": 0})
        answer = await server.ask(plain)
        if not answer.ok:
            raise UnfitError(f"the server answers neither token ids nor text: {failed(answer)}")
    told = await _with(server, plain, return_token_ids=True)
    if not told.ok or not told.ids:
        lacking["returned"] = failed(told) if not told.ok else "it says none"
        if vocabulary is None:
            raise UnfitError("the server returns no token ids, and the model has no tokenizer")
    logprobs = await _logprobs(server, plain, lacking)
    options = set()
    for name, (_, values) in TRIED.items():
        tried = await _with(server, plain, **values)
        if tried.ok:
            options.add(name)
        else:
            lacking[name] = failed(tried)
    streamed = await server.ask(replace(plain, stream=True))
    if not streamed.ok:
        lacking["stream"] = failed(streamed)
    return Abilities(
        "ids" not in lacking, "returned" not in lacking, logprobs, frozenset(options),
        streamed.ok, lacking,
    )  # fmt: skip


async def _with(server: Respondent, plain: Question, **options: Any) -> Any:
    return await server.ask(replace(plain, options={**plain.options, **options}))


async def _logprobs(server: Respondent, plain: Question, lacking: dict[str, str]) -> int | None:
    """How many alternatives it says: OpenAI's most, or one."""
    for count in (ALTERNATIVES, 1):
        answer = await server.ask(replace(plain, logprobs=count))
        if answer.ok and answer.logprobs:
            return count
    lacking["logprobs"] = failed(answer) if not answer.ok else "it says none"
    return None
