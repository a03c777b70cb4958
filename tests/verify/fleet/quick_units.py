"""Work of a moment, for tests of fleets."""

import os
import time
from functools import cache
from pathlib import Path


def square(n, seconds=0.0):
    """A number's square, after a while."""
    time.sleep(seconds)
    yield {"record": "square", "n": n, "square": n * n}


def together(n, folder, processes):
    """A number's square, once so many processes have left a file in the folder, or a minute on."""
    Path(folder, str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len([*Path(folder).iterdir()]) < processes and time.monotonic() < end:
        time.sleep(0.05)
    yield from square(n, 0.1)


def period(seconds):
    """When a unit was done, and in which process."""
    start = time.time()
    time.sleep(seconds)
    return [{"record": "period", "start": start, "end": time.time(), "process": os.getpid()}]


def broken():
    """Raises."""
    raise ArithmeticError("out of numbers")


def deadly():
    """Ends the process that it is done in."""
    os._exit(1)


@cache
def _number():
    return os.getpid()


def kept():
    """What a process keeps between its units."""
    return [{"record": "kept", "process": _number()}]
