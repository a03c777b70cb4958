"""Real programs that are sent real signals."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


@contextmanager
def started(*command, **variables):
    """`python -m COMMAND` in the repository's root; whatever is left of it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)], cwd=ROOT, env={**os.environ, **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(true, within_s=300.0):
    """Wait until something is true, and say whether it ever was."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def family(process):
    """The process ids of everything that a process has started, and of what that has."""
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


def gone(pids, within_s=60.0):
    """Whether all processes end within some seconds; one that only waits to be reaped has ended."""
    return wait_until(lambda: not any(map(lives, pids)), within_s)


def lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
