"""Keeps MAX's log thread from taking the processor from the model.

With its first execution a process of MAX 26.7 starts a thread that writes log messages. It looks
for one every 100 microseconds for as long as the process lives, whether there are any or not: about
a seventh of a core, taken from the threads that compute. On 2 cores a prompt takes 10% longer for
it. In Linux's class for idle work the thread still writes, whenever a core has nothing else to do.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

TASKS = Path("/proc/self/task")

_begun = threading.Event()
_NOTHING = nullcontext()


def log_thread_yields(*, on_host: bool = True) -> AbstractContextManager[None]:
    """Give threads that begin in this context, none of Python's, a core only when it is idle.

    To be entered around an execution. It matters for the first one of a process on the CPU: an
    accelerator's driver (not `on_host`) starts threads of its own, and they are left alone.
    """
    if _begun.is_set() or not on_host or not hasattr(os, "SCHED_IDLE"):
        return _NOTHING
    return _new_ones_yield()


@contextmanager
def _new_ones_yield() -> Iterator[None]:
    before = _threads()
    yield
    for thread in _threads() - before - {thread.native_id for thread in threading.enumerate()}:
        _begun.set()
        with suppress(OSError):  # it has ended, or may not be touched here
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def _threads() -> set[int]:
    """This process's threads, by the number that the system knows them by."""
    with suppress(OSError):
        return {int(task.name) for task in TASKS.iterdir()}
    return set()
