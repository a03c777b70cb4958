"""What holds for every test."""

import signal

import pytest
from threadpoolctl import threadpool_limits

collect_ignore = ["sample_repository"]
"""A user's repository with tests of its own, which `tests/test_wheel.py` runs."""


def pytest_configure():
    """Hear Ctrl-C, and so do child processes.

    A shell starts background jobs, a CI's among them, deaf to it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_step_summary(monkeypatch):
    """Runs that tests make must not end up in the CI job's summary."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_small_products():
    """NumPy's threads wait for each other longer than they compute, on a busy machine above all."""
    with threadpool_limits(1, "blas"):
        yield
