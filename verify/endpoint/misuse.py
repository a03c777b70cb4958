"""What a server does with bad questions and bad clients: it says why, stays up, and stays right.

After each of them a good question is asked, and its answer judged. A server that gets one wrong has
a row that says so; nothing here raises.
"""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import aiohttp

from verify.endpoint.answering import failed
from verify.endpoint.client import COMPLETIONS, Endpoint, error_of, events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from verify.endpoint.answering import Asked, Judge
    from verify.endpoint.questions import Questions

IDLE = 1000
"""Connections that are opened and say nothing."""

MANY = 10_000
"""Tokens of the largest prompt."""

SLOW_S = 1.0
"""How long a slow reader stops after the first piece."""

AGAIN_S = 3.0
"""How long after an answer that failed it is asked again, to tell a server that is gone."""

SPARE_FILES = 100
"""Files that this process keeps free besides idle connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treated:
    """What a server did.

    Attributes:
        name: of what was done to it.
        verdict: PASS where it refused with a reason and is right afterwards; SKIP where it was not
            asked.
        status: of HTTP; None where that is not the point.
        message: what it said, or what is wrong.
    """

    name: str
    verdict: Literal["PASS", "FAIL", "SKIP"]
    status: int | None = None
    message: str = ""


class Misuse:
    """Puts bad questions to a server.

    Args:
        endpoint: that is asked.
        questions: the plan, which has a good question to ask in between.
        judge: of its answer.
    """

    def __init__(self, endpoint: Endpoint, questions: Questions, judge: Judge) -> None:
        self.endpoint, self.judge = endpoint, judge
        self._good = questions.asked(questions.prompt(9, 9))
        self._long = questions.asked(questions.prompt(9, 10), 64, stream=True)
        self._ids = questions.abilities.ids
        self._streams = questions.abilities.stream
        self._within = _within(questions)
        self._context, self._size = questions.context, questions.standard.model.size

    async def all(self, seen: Callable[[Treated], None]) -> list[Treated]:
        """Do everything; called with each as soon as it is known."""
        found: list[Treated] = []
        lives = True
        for name, act in self._acts():
            if lives:
                treated = await self._with_control(name, act)
                lives = treated.status != 0
            else:
                treated = Treated(name=name, verdict="SKIP", message="the server is gone")
            found.append(treated)
            seen(treated)
        return found

    def _acts(self) -> Iterator[tuple[str, Callable[[], Awaitable[Treated]]]]:
        """What is done, by name; what may bring a server down comes last."""
        for name, body in self._bodies():
            yield name, lambda name=name, body=body: self._refused(name, body)  # type: ignore[misc]
        if self._within:
            yield "a prompt that ends within a character", self._within_character
        if self._streams:
            yield "a reader that is slow", self._slow
            yield "a reader that leaves", self._leaves
        yield f"{IDLE:,} idle connections", self._idle
        for name, body in self._ids_out_of_range():
            yield name, lambda name=name, body=body: self._refused(name, body)  # type: ignore[misc]

    def _bodies(self) -> Iterator[tuple[str, str]]:
        """Bodies of requests that must be refused."""
        whole = self._body()
        yield "JSON that is cut off", whole[: len(whole) // 2]
        yield "a list for a request", "[]"
        yield "an unknown model", self._body(model="no-such-model")
        yield "no prompt", self._body(prompt=None)
        yield "an empty prompt", self._body(prompt=[] if self._ids else "")
        yield "max_tokens of -1", self._body(max_tokens=-1)
        yield "a negative temperature", self._body(temperature=-1)
        if self._ids:
            yield "a prompt of one token too many", self._body(prompt=[1] * (self._context + 1))
            yield f"a prompt of {MANY:,} tokens", self._body(prompt=[1] * MANY)
        else:
            yield f"a prompt of {MANY:,} words", self._body(prompt="word " * MANY)

    def _ids_out_of_range(self) -> Iterator[tuple[str, str]]:
        if self._ids:
            yield "a negative token id", self._body(prompt=[1, -1])
            yield "a token id of 41 bits", self._body(prompt=[1, 2**40])
            yield "a token id beyond the vocabulary", self._body(prompt=[1, self._size])

    def _body(self, **changes: Any) -> str:
        body = {**self._good.question.body(self.endpoint.model), **changes}
        return json.dumps({name: value for name, value in body.items() if value is not None})

    async def _with_control(self, name: str, act: Callable[[], Awaitable[Treated]]) -> Treated:
        """Do it, then ask something good."""
        try:
            treated = await act()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            told = f"no answer: {type(error).__name__} {error}".strip()
            treated = Treated(name=name, verdict="FAIL", message=told)
        answer = await self.endpoint.ask(self._good.question)
        if not answer.ok:
            told = f"afterwards a good question fails: {failed(answer)}"
            await asyncio.sleep(AGAIN_S)
            gone = (await self.endpoint.ask(self._good.question)).status == 0
            told += f"; {AGAIN_S:g} s later the server is gone" * gone
            status = 0 if gone else treated.status
            return Treated(name=name, verdict="FAIL", status=status, message=_also(treated, told))
        wrong = (await asyncio.to_thread(self.judge.judge, self._good, answer)).wrong
        if wrong:
            told = f"afterwards a good question is answered wrong: {wrong.message}"
            return Treated(name=name, verdict="FAIL", status=treated.status,
                           message=_also(treated, told))  # fmt: skip
        return treated

    async def _refused(self, name: str, body: str) -> Treated:
        status, told = await self._posted(body)
        if status == 200:
            return Treated(name=name, verdict="FAIL", status=status, message=f"answered: {told}")
        if status >= 500:
            return Treated(name=name, verdict="FAIL", status=status,
                           message=f"the server takes the blame: {told}")  # fmt: skip
        if not told:
            return Treated(name=name, verdict="FAIL", status=status, message="without a reason")
        return Treated(name=name, verdict="PASS", status=status, message=told)

    async def _posted(self, body: str) -> tuple[int, str]:
        """The status and what the server says, in short."""
        session, url = self.endpoint.session, self.endpoint.url + COMPLETIONS
        headers = {"Content-Type": "application/json"}
        async with session.post(url, data=body, headers=headers) as response:
            text = (await response.read()).decode(errors="replace").strip()
            status = response.status
        return status, _reason(text)[:200]

    async def _within_character(self) -> Treated:
        """The answer's text must be that of its tokens, and nothing of the prompt's."""
        assert self._within is not None
        answer = await self.endpoint.ask(self._within.question)
        name = "a prompt that ends within a character"
        wrong = (await asyncio.to_thread(self.judge.judge, self._within, answer)).wrong
        if not wrong:
            return Treated(name=name, verdict="PASS", status=answer.status)
        told = wrong.message
        if wrong.got:
            told += f": {wrong.got[:80]} in place of {wrong.expected[:80]}"
        return Treated(name=name, verdict="FAIL", status=answer.status, message=told)

    async def _slow(self) -> Treated:
        """A stream that is not read for a while, and another question meanwhile."""
        name = "a reader that is slow"
        async with self._stream() as response:
            pieces = events(response.content)
            await anext(pieces)
            beside = await self.endpoint.ask(self._good.question)
            await asyncio.sleep(SLOW_S)
            ended = [one async for one in pieces][-1:] == ["[DONE]"]
        if not ended:
            return Treated(name=name, verdict="FAIL", message="its stream has no end")
        return self._beside(name, beside.ok and not self.judge.judge(self._good, beside).wrong)

    async def _leaves(self) -> Treated:
        """A stream whose reader goes after the first piece."""
        async with self._stream() as response:
            await anext(events(response.content))
            response.close()
        return Treated(name="a reader that leaves", verdict="PASS")

    def _stream(self) -> Any:
        body = self._long.question.body(self.endpoint.model)
        return self.endpoint.session.post(self.endpoint.url + COMPLETIONS, json=body)

    async def _idle(self) -> Treated:
        """Connections that are held open without a word while a question is asked."""
        name, place = f"{IDLE:,} idle connections", urlsplit(self.endpoint.url)
        port = place.port or (443 if place.scheme == "https" else 80)
        count = min(IDLE, _allow_files(IDLE + SPARE_FILES) - SPARE_FILES)
        async with AsyncExitStack() as stack:
            for _ in range(count):
                _, writer = await asyncio.open_connection(place.hostname, port)
                stack.push_async_callback(_closed, writer)
            answer = await self.endpoint.ask(self._good.question)
            right = answer.ok and not self.judge.judge(self._good, answer).wrong
        fewer = "" if count == IDLE else f"{count} of them: this process may open no more files"
        treated = self._beside(name, right)
        return Treated(name=name, verdict=treated.verdict, message=treated.message or fewer)

    @staticmethod
    def _beside(name: str, right: bool) -> Treated:
        if right:
            return Treated(name=name, verdict="PASS")
        return Treated(name=name, verdict="FAIL", message="a good question next to it fails")


def _within(questions: Questions) -> Asked | None:
    """A prompt whose last token is a byte of a longer character, where there is such a token."""
    words = questions.standard.model.vocabulary
    if words is None or not questions.abilities.ids:
        return None
    parts = words.by_text.get("\ufffd") or ()
    return questions.asked((*questions.prompt(9, 9), parts[-1])) if parts else None


def _also(treated: Treated, told: str) -> str:
    return f"{treated.message}; {told}" if treated.verdict == "FAIL" else told


def _reason(text: str) -> str:
    """What a refusal says; empty where it says nothing."""
    try:
        told = json.loads(text)
    except ValueError:
        return text
    named = isinstance(told, dict) and any(told.get(n) for n in ("error", "message", "detail"))
    if isinstance(told, dict) and "choices" in told:
        return json.dumps(told["choices"])
    return error_of(told) if named else ""


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _allow_files(count: int) -> int:
    """Let this process open as many files, if it may; returns how many it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        soft = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
