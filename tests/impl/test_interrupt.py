import os
import signal
import threading
import time

import pytest

from impl.interrupt import interruptible


def test_the_result_comes_back():
    assert interruptible(lambda: 3) == 3


def test_an_error_comes_back():
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)


def to_the_process():
    os.kill(os.getpid(), signal.SIGINT)


def to_the_thread_that_works():
    """Which the system may choose among all threads that do not block the signal."""
    worker = next(t for t in threading.enumerate() if t.name.endswith("(run)"))
    signal.pthread_kill(worker.ident, signal.SIGINT)


@pytest.mark.parametrize("send", [to_the_process, to_the_thread_that_works])
def test_ctrl_c_is_heard_while_the_work_goes_on(send):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a CI may have it ignored
    release = threading.Event()
    threading.Timer(0.2, send).start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            interruptible(lambda: release.wait(5))
        assert not release.is_set()
        assert time.monotonic() - started < 5  # it did not wait for the work
    finally:
        release.set()
        signal.signal(signal.SIGINT, before)
