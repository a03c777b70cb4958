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


def test_ctrl_c_is_heard_while_the_work_goes_on():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a CI may have it ignored
    release = threading.Event()
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            interruptible(lambda: release.wait(60))
        assert not release.is_set()
        assert time.monotonic() - started < 60  # it did not wait for the work
    finally:
        release.set()
        signal.signal(signal.SIGINT, before)
