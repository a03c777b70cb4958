"""The load itself, on real servers over loopback."""

import asyncio
import itertools
import time

import aiohttp
import pytest

from bench.asking.generator import run_level
from bench.asking.level import Level
from tests.bench.serving.queue_server import continuation
from verify.endpoint.client import Endpoint, Question


def level(**changes):
    values = {"loop": "open", "load": 40.0, "warm_s": 0.1, "seconds": 0.6, "seed": 1}
    return Level(**{**values, **changes})


def load_on(url, one, beside=None):
    """Put a level on a server; `beside` is a coroutine that runs in the same event loop."""

    async def run():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            questions = [Question(prompt=[n, 7], max_tokens=4, stream=True) for n in range(10)]
            task = asyncio.create_task(beside()) if beside else None
            outcome = await run_level(Endpoint(url, "counter", session), questions, one)
            if task:
                await task
            return outcome

    return asyncio.run(run())


def test_arrivals_are_a_poisson_process():
    """Gaps are exponential: mean and standard deviation 1 / rate; the seed draws them."""
    times = level(load=50.0, warm_s=0, seconds=400).arrivals()
    gaps = [after - before for before, after in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert mean == pytest.approx(0.02, rel=0.03)
    assert spread == pytest.approx(0.02, rel=0.05)
    assert level().arrivals() == level().arrivals() != level(seed=2).arrivals()


def test_an_open_loop_does_not_wait_for_answers(queue):
    """The server answers nobody until twelve have asked: callers that wait would never do."""
    assert len(level().arrivals()) >= 12
    with queue("--fault", "holds") as url:
        outcome = load_on(url, level())
    assert outcome.in_flight >= 12
    assert [one.answer.error for one in outcome.asked] == [""] * len(level().arrivals())


def test_a_closed_loop_never_has_more_open_than_callers(queue):
    with queue() as url:
        outcome = load_on(url, level(loop="closed", load=3))
    assert outcome.in_flight == 3
    assert all(one.answer.ids == tuple(continuation([one.prompt, 7], 4)) for one in outcome.asked)
    assert [one.number for one in outcome.asked] == list(range(len(outcome.asked)))


def test_latency_counts_from_the_schedule_even_where_the_client_is_late(queue):
    """Something blocks the event loop for a third of a second; requests are due meanwhile."""

    async def block():
        await asyncio.sleep(0.2)
        time.sleep(0.35)

    one = level(load=60.0)
    with queue() as url:
        outcome = load_on(url, one, block)
    scheduled = [asked.scheduled_ns for asked in outcome.asked]
    drawn = one.arrivals()
    begin = scheduled[0] - int(drawn[0] * 1e9)
    assert scheduled == pytest.approx([begin + int(at * 1e9) for at in drawn], abs=2)
    late_ms = [(asked.answer.sent_ns - asked.scheduled_ns) / 1e6 for asked in outcome.asked]
    assert max(late_ms) > 100
    assert outcome.client["late_ms_max"] > 300


def test_what_is_never_answered_is_kept_as_an_error(queue):
    with queue("--fault", "holds") as url:
        outcome = load_on(url, level(loop="closed", load=2, seconds=0.1, drain_s=0.3))
    assert [one.answer.error for one in outcome.asked] == [
        "no whole answer within 0.3 s after the end"
    ] * 2


def test_a_server_that_dies_under_load_costs_no_record(queue):
    with queue("--fault", "dies") as url:
        outcome = load_on(url, level(load=80.0))
    assert len(outcome.asked) == len(level(load=80.0).arrivals())
    answered = [one for one in outcome.asked if one.answer.ok]
    failed = [one.answer.error for one in outcome.asked if not one.answer.ok]
    assert answered
    assert failed
    assert all(error.startswith(("Server", "Client")) for error in failed)


def test_a_stream_that_breaks_off_is_not_an_answer(queue):
    with queue("--fault", "breaks-off") as url:
        outcome = load_on(url, level(loop="closed", load=1))
    broken = [one for one in outcome.asked if not one.answer.ok]
    assert broken
    assert all(0 < len(one.answer.ids) < 4 or one.answer.error for one in broken)
