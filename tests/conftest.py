"""What holds for every test."""

import os
import signal

import pytest
from threadpoolctl import threadpool_limits

# MAX compiles each operation on eager tensors in processes of its own, in the background, and takes
# the result once it is there. That costs minutes of both cores, and nothing here asks for it.
os.environ.setdefault("MAX_EAGER_EXECUTOR", "interpreter")

collect_ignore = ["sample_repository"]
"""A user's repository with tests of its own, which `tests/test_wheel.py` runs."""


def pytest_configure():
    """What child processes inherit, those of pytest-xdist among them."""
    # A shell starts background jobs, a CI's among them, deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Importing max, as conftest files do, sets PYTHONEXECUTABLE to the first python3 on the path,
    # where os.environ does not see it. A child would take itself for that, and pip install there.
    os.unsetenv("PYTHONEXECUTABLE")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Which process runs what, for `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.distribution import Grouped

    config.option.loadscopereorder = False
    return Grouped(config, log)


def pytest_collection_modifyitems(config, items):
    """In one of several processes: the files that take longest first."""
    if hasattr(config, "workerinput"):
        from tests.distribution import rank

        items.sort(key=lambda item: rank(item.nodeid.partition("::")[0]))


@pytest.fixture(autouse=True)
def _no_step_summary(monkeypatch):
    """Runs that tests make must not end up in the CI job's summary."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_small_products():
    """NumPy's threads wait for each other longer than they compute, on a busy machine above all."""
    with threadpool_limits(1, "blas"):
        yield
