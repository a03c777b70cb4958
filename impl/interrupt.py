"""Ctrl-C and SIGTERM while MAX compiles: native code during which Python hears nothing."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POLL_S = 0.2
"""A signal that the system hands to a thread of MAX's does not wake the main thread: it looks
itself, this often. Seen with SIGTERM, once in ten times."""


def interruptible(work: Callable[[], T]) -> T:
    """Do `work` in a thread, so that the main thread can be interrupted meanwhile.

    After a KeyboardInterrupt the thread goes on; leave by `os._exit`, since a normal end would wait
    for it.

    Returns:
        What `work` returns.

    Raises:
        BaseException: what `work` raises, or KeyboardInterrupt.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
    return future.result()
