"""`python -m bench.asking.client`: the process that asks, and does nothing else.

It reads one JSON object a line from standard input, and answers with JSON lines, of which the last
has `done`. What was measured is written after a level is over, not while it runs.

    {"do": "connect", "url", "model", "prompts", "max_tokens", "options"}
    {"do": "alone", "prompts": [numbers]}    each asked once, one after the other
    {"do": "level", ...}                     as `bench.asking.level.Level` has it
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import selectors
import sys
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.asking.generator import Asked, run_level
from bench.asking.level import Level
from reports.commands import end_with_parent
from verify.endpoint.client import Answer, Endpoint, Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_SELECTED = 900
"""`select(2)` takes 1024 files at most. Its timer is exact; epoll's counts in milliseconds."""

BROKE_OFF = "the stream broke off"
CONNECTION_S = 20.0


def main() -> int:
    """Serve the parent until its end of the pipe is closed."""
    end_with_parent(os.getppid())
    known: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "connect":
            known = asked
            _say({"done": True})
            continue
        for found in _carried_out(asked, known):
            _say(found)
    return 0


def _carried_out(asked: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    level = Level.of(asked["level"]) if asked["do"] == "level" else None
    gc.collect()
    gc.disable()  # a collection in between would be the client's own lateness
    try:
        with asyncio.Runner(loop_factory=lambda: _loop(level)) as runner:
            yield from runner.run(_asked(asked, known, level))
    finally:
        gc.enable()


def _loop(level: Level | None) -> asyncio.AbstractEventLoop:
    few = level is None or level.most_in_flight <= MOST_SELECTED
    return asyncio.SelectorEventLoop(selectors.SelectSelector() if few else None)


async def _asked(
    asked: Mapping[str, Any], known: Mapping[str, Any], level: Level | None
) -> list[dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTION_S)
    connector = aiohttp.TCPConnector(limit=0)  # else it would keep requests waiting, unseen
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        endpoint = Endpoint(known["url"], known["model"], session)
        questions = [_question(prompt, known) for prompt in known["prompts"]]
        if level is None:
            return await _alone(endpoint, questions, asked["prompts"])
        outcome = await run_level(endpoint, questions, level)
    told = [_told(one) for one in outcome.asked]
    begin_ns, end_ns = outcome.window_ns
    return [*told, {"done": True, "window_begin_ns": begin_ns, "window_end_ns": end_ns,
                    "in_flight": outcome.in_flight, **outcome.client}]  # fmt: skip


async def _alone(
    endpoint: Endpoint, questions: list[Question], numbers: list[int]
) -> list[dict[str, Any]]:
    told = []
    for place, number in enumerate(numbers):
        answer = await endpoint.ask(questions[number])
        told.append(_told(Asked(place, number, answer.sent_ns, answer)))
    return [*told, {"done": True}]


def _question(prompt: Any, known: Mapping[str, Any]) -> Question:
    return Question(
        prompt=prompt, max_tokens=known["max_tokens"], stream=True, options=known["options"]
    )


def _told(asked: Asked) -> dict[str, Any]:
    """One request, as the parent reads it. Pieces without a token say nothing of speed."""
    answer = asked.answer
    pieces = [piece for piece in answer.pieces if piece.text or piece.ids]
    return {
        "number": asked.number,
        "prompt": asked.prompt,
        "scheduled_ns": asked.scheduled_ns,
        "sent_ns": answer.sent_ns,
        "ended_ns": answer.ended_ns,
        "arrived_ns": [piece.arrived_ns for piece in pieces],
        "pieces": [max(1, len(piece.ids)) for piece in pieces],
        "status": answer.status,
        "error": _error(answer),
        "finish_reason": answer.finish_reason,
        "text": answer.text,
        "ids": list(answer.ids),
        "usage": answer.usage.get("completion_tokens"),
    }


def _error(answer: Answer) -> str:
    """What went wrong; nothing where a stream only lacks `[DONE]` after its last piece."""
    if answer.error == BROKE_OFF and answer.finish_reason:
        return ""
    return answer.error


def _say(found: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    if found.get("done"):
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
