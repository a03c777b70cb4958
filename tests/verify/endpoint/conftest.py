"""The stand-in server, started once for the tests of this folder, and the model that it serves."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from verify.endpoint.abilities import find
from verify.endpoint.answering import Judge
from verify.endpoint.client import Endpoint
from verify.endpoint.questions import Questions
from verify.endpoint.servers import LOOPBACK, Server, free_port
from verify.endpoint.standard import Standard, model_of

STAND_IN = Path(__file__).parent / "stand_in.py"
ROOT = Path(__file__).parents[3]


def stand_in(log, *more):
    """A stand-in as a context, and its address."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, str(STAND_IN), "--port", str(port), *more]
    server = Server(command, ready=f"{url}/health", log=log, environment={"PYTHONPATH": str(ROOT)})
    return server, url


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    """The address of a stand-in that serves `tiny`."""
    server, url = stand_in(tmp_path_factory.mktemp("stand-in") / "log")
    with server:
        yield url


@pytest.fixture(scope="session")
def model():
    return model_of("tiny", "float32")


@pytest.fixture(scope="session")
def standard(model):
    return Standard(model, "float32")


@pytest.fixture
def asking(url, standard):
    """Runs `act(endpoint, questions, judge)` against a path of the stand-in, or another server."""

    def ask(act, path="", *, server=url):
        async def inside():
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                endpoint = Endpoint(server + path, "tiny", session)
                abilities = await find(endpoint, standard.model.vocabulary)
                context = standard.model.context
                judge = Judge(
                    standard, returns_ids=abilities.returned,
                    logprobs=abilities.logprobs is not None, context=context,
                )  # fmt: skip
                return await act(endpoint, Questions(standard, abilities, context), judge)

        return asyncio.run(inside())

    return ask
