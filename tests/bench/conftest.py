"""Servers whose answers and service times are known."""

import pytest

from tests.bench.served import QUEUE, running


@pytest.fixture
def queue(tmp_path):
    """Starts a server with known service time: `with queue("--fault", "mixed") as url`."""
    return lambda *options: running(tmp_path, QUEUE, *options)
