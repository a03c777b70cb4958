"""A server with OpenAI's completions, asked over HTTP, each piece of its answers with its time.

Times are nanoseconds of `time.perf_counter_ns`, taken when bytes have arrived in this process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMPLETIONS = "/v1/completions"
MODELS = "/v1/models"
DONE = "[DONE]"
"""What ends a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for.

    Attributes:
        prompt: token ids, or a text where the server takes none.
        max_tokens: how many tokens to generate at most; None leaves it to the server.
        stream: whether the answer comes in pieces.
        logprobs: how many alternatives to each token; None asks for none.
        options: further fields of the body, as the server names them (`temperature`, `seed`, ...).
    """

    prompt: Sequence[int] | str
    max_tokens: int | None = None
    stream: bool = False
    logprobs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def body(self, model: str) -> dict[str, Any]:
        """The JSON of the request; what is None is left out."""
        prompt = self.prompt if isinstance(self.prompt, str) else list(self.prompt)
        known = {"max_tokens": self.max_tokens, "logprobs": self.logprobs}
        return {
            "model": model,
            "prompt": prompt,
            "stream": self.stream,
            **{name: value for name, value in known.items() if value is not None},
            **self.options,
        }


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of a stream, or a whole answer.

    Attributes:
        arrived_ns: when it was read.
        text: what it adds.
        ids: the token ids it adds; empty where the server returns none.
        logprobs: of each token that it adds, natural logarithms; empty where none were asked for.
        tops: for each token, the alternatives by their text.
        finish_reason: `stop` or `length` in the last piece, else None.
    """

    arrived_ns: int
    text: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    tops: tuple[Mapping[str, float], ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        question: what was asked.
        sent_ns: just before the request was sent.
        ended_ns: after the last byte, or when it failed.
        status: of HTTP; 0 where no answer came.
        pieces: one, or as many as the stream had.
        usage: the server's own count of tokens, as it says it.
        error: what the server or the connection said instead; empty for an answer.
        closed: whether the stream ended as it should, by `[DONE]`; True for an answer at once.
    """

    question: Question
    sent_ns: int
    ended_ns: int = 0
    status: int = 0
    pieces: tuple[Piece, ...] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    closed: bool = True

    @property
    def ok(self) -> bool:
        """Whether it is an answer, whole."""
        return self.status == 200 and not self.error and self.closed

    @property
    def ids(self) -> tuple[int, ...]:
        """All generated token ids; empty where the server returns none."""
        return tuple(one for piece in self.pieces for one in piece.ids)

    @property
    def text(self) -> str:
        """All generated text."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Of each generated token."""
        return tuple(one for piece in self.pieces for one in piece.logprobs)

    @property
    def tops(self) -> tuple[Mapping[str, float], ...]:
        """The alternatives to each generated token, by their text."""
        return tuple(one for piece in self.pieces for one in piece.tops)

    @property
    def finish_reason(self) -> str | None:
        """Why it ended: `stop`, `length`; None where the server never said."""
        return next((p.finish_reason for p in reversed(self.pieces) if p.finish_reason), None)


class Endpoint:
    """A server, by its address.

    Args:
        url: of the server, with or without `/v1`.
        model: the name under which it serves the model.
        session: of aiohttp, which keeps the connections.
        fields: of the body of each request, besides what is asked, which comes first.
    """

    def __init__(
        self,
        url: str,
        model: str,
        session: aiohttp.ClientSession,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model
        self.session = session
        self.fields = fields or {}

    async def models(self) -> list[str]:
        """The names of the models that it serves.

        Raises:
            aiohttp.ClientError: where it does not answer, or not with a list of models.
        """
        async with self.session.get(self.url + MODELS) as response:
            response.raise_for_status()
            listed = await response.json(content_type=None)
        return [str(one["id"]) for one in listed["data"]]

    async def ask(self, question: Question) -> Answer:
        """Ask once; whatever goes wrong is in the answer, and nothing is asked again."""
        answer = Answer(question, time.perf_counter_ns())
        pieces: list[Piece] = []
        try:
            body = {**self.fields, **question.body(self.model)}
            async with self.session.post(self.url + COMPLETIONS, json=body) as response:
                answer = replace(answer, status=response.status)
                streamed = "event-stream" in response.headers.get("Content-Type", "")
                if streamed:
                    answer = await _streamed(response, answer, pieces)
                else:
                    answer = _at_once(await response.read(), answer, pieces)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            answer = replace(answer, error=f"{type(error).__name__}: {error}".rstrip(": "))
        return replace(answer, ended_ns=time.perf_counter_ns(), pieces=tuple(pieces))


def _at_once(data: bytes, answer: Answer, pieces: list[Piece]) -> Answer:
    now = time.perf_counter_ns()
    try:
        told = json.loads(data)
    except ValueError:
        return replace(answer, error=f"not JSON: {data[:200].decode(errors='replace')}")
    if answer.status != 200 or "choices" not in told:
        return replace(answer, error=error_of(told))
    pieces += [piece_of(choice, now) for choice in told["choices"][:1]]
    return replace(answer, usage=told.get("usage") or {})


async def _streamed(
    response: aiohttp.ClientResponse, answer: Answer, pieces: list[Piece]
) -> Answer:
    answer = replace(answer, closed=False)
    async for data in events(response.content):
        now = time.perf_counter_ns()
        if data == DONE:
            return replace(answer, closed=True)
        try:
            told = json.loads(data)
        except ValueError:
            return replace(answer, error=f"not JSON: {data[:200]}")
        if "error" in told or "choices" not in told:
            return replace(answer, error=error_of(told))
        pieces += [piece_of(choice, now) for choice in told["choices"][:1]]
        answer = replace(answer, usage=told.get("usage") or answer.usage)
    return replace(answer, error="the stream broke off")


async def events(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    """The data of each server-sent event, in order."""
    lines: list[str] = []
    async for raw in content:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def piece_of(choice: Mapping[str, Any], arrived_ns: int) -> Piece:
    """What a choice of an answer holds, whatever of it the server fills."""
    logprobs = choice.get("logprobs") or {}
    return Piece(
        arrived_ns,
        choice.get("text") or "",
        tuple(choice.get("token_ids") or ()),
        tuple(logprobs.get("token_logprobs") or ()),
        tuple(logprobs.get("top_logprobs") or ()),
        choice.get("finish_reason"),
    )


def error_of(told: Any) -> str:
    """What an error says, in whichever of the usual shapes."""
    if isinstance(told, Mapping):
        for name in ("error", "message", "detail"):
            if told.get(name):
                inner = told[name]
                return error_of(inner) if isinstance(inner, Mapping) else str(inner)
    return json.dumps(told)[:300]
