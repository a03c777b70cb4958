import os
import signal
import threading

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
    release, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def work():
        begun.set()
        release.wait(60)
        ended.set()

    def send_once_it_works():
        begun.wait(60)
        send()

    threading.Thread(target=send_once_it_works).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            interruptible(work)
        assert not ended.is_set()  # it did not wait for the work
    finally:
        release.set()
        signal.signal(signal.SIGINT, before)
