"""Ctrl-C while MAX compiles: native code during which Python hears nothing."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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

    threading.Thread(target=run, daemon=True).start()
    return future.result()
