"""The load itself: requests in a closed or an open loop, in this process's event loop.

A latency counts from the time at which a request was *scheduled*. In an open loop that is its
arrival, whether or not the client, its connections or the server were ready for it: a generator
that waits for a slow server and counts from when it could send leaves out the very waiting that it
should measure (coordinated omission).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.asking.lateness import Probe
from verify.endpoint.client import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from bench.asking.level import Level
    from verify.endpoint.client import Endpoint, Question

PAUSE_S = 0.05
"""A caller whose request failed waits so long before the next, so that a server that is gone is
asked some times a second, not thousands."""

LEAD_S = 0.05
"""Before the first arrival, to set everything up."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a level.

    Attributes:
        number: in the order of scheduling.
        prompt: which of the prompts.
        scheduled_ns: when it was to be sent.
        answer: what came of it.
    """

    number: int
    prompt: int
    scheduled_ns: int
    answer: Answer


@dataclass(slots=True)
class Outcome:
    """All of a level.

    Attributes:
        window_ns: begin and end of what counts.
        in_flight: the most requests that were open at once.
        client: the client's own lateness and share of a CPU.
    """

    window_ns: tuple[int, int]
    asked: list[Asked] = field(default_factory=list)
    in_flight: int = 0
    client: dict[str, Any] = field(default_factory=dict)


class _Run:
    """What the callers of a level share."""

    def __init__(self, endpoint: Endpoint, questions: Sequence[Question], level: Level) -> None:
        self.endpoint, self.questions, self.level = endpoint, questions, level
        self.begin_ns = time.perf_counter_ns() + int(LEAD_S * 1e9)
        first_ns = self.begin_ns + int(level.warm_s * 1e9)
        self.outcome = Outcome((first_ns, first_ns + int(level.seconds * 1e9)))
        self.open = 0
        self.numbers = itertools.count()
        self.prompts = _from_somewhere(len(questions), level)

    async def ask(self, scheduled_ns: int) -> Answer:
        """Ask the next prompt, and keep what comes of it."""
        number, prompt = next(self.numbers), next(self.prompts)
        question = self.questions[prompt]
        self.open += 1
        self.outcome.in_flight = max(self.outcome.in_flight, self.open)
        answer = await _within(self.endpoint.ask, question, self.outcome.window_ns[1],
                               self.level.drain_s)  # fmt: skip
        self.open -= 1
        self.outcome.asked.append(Asked(number, prompt, scheduled_ns, answer))
        return answer


async def run_level(endpoint: Endpoint, questions: Sequence[Question], level: Level) -> Outcome:
    """Put a load on a server, and wait for its answers.

    Args:
        endpoint: the server.
        questions: what is asked, over and over, in this order.
        level: how.

    Returns:
        Every request that was scheduled; one that was never answered has an error.
    """
    run = _Run(endpoint, questions, level)
    async with Probe() as probe:
        await (_closed(run) if level.loop == "closed" else _open(run))
    late = [] if level.loop == "closed" else [
        max(0, one.answer.sent_ns - one.scheduled_ns) for one in run.outcome.asked
    ]  # fmt: skip
    run.outcome.client = probe.figures(late)
    run.outcome.asked.sort(key=lambda one: one.number)
    return run.outcome


async def _closed(run: _Run) -> None:
    await _until(run.begin_ns)
    end_ns = run.outcome.window_ns[1]

    async def caller() -> None:
        while (now_ns := time.perf_counter_ns()) < end_ns:
            answer = await run.ask(now_ns)
            if answer.error:
                await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(int(run.level.load)):
            group.create_task(caller())


async def _open(run: _Run) -> None:
    async with asyncio.TaskGroup() as group:
        for offset_s in run.level.arrivals():
            scheduled_ns = run.begin_ns + int(offset_s * 1e9)
            await _until(scheduled_ns)
            group.create_task(run.ask(scheduled_ns))


async def _until(moment_ns: int) -> None:
    """Sleep; returns at once where the moment has passed, so that other tasks get their turn."""
    await asyncio.sleep(max(0.0, (moment_ns - time.perf_counter_ns()) / 1e9))


async def _within(
    ask: Callable[[Question], Awaitable[Answer]], question: Question, end_ns: int, drain_s: float
) -> Answer:
    """Ask, and give up so long after the end of the level."""
    sent_ns = time.perf_counter_ns()
    left_s = (end_ns - sent_ns) / 1e9 + drain_s
    try:
        async with asyncio.timeout(left_s):
            return await ask(question)
    except TimeoutError:
        error = f"no whole answer within {drain_s:g} s after the end"
        return Answer(question, sent_ns, time.perf_counter_ns(), error=error, closed=False)


def _from_somewhere(count: int, level: Level) -> Iterator[int]:
    """All prompts in turn, over and over, from one that depends on the level."""
    begin = int(np.random.default_rng([level.seed, level.round, round(level.load * 1e3)])
                .integers(count))  # fmt: skip
    return (number % count for number in itertools.count(begin))
