"""A worker answers, and whatever happens to it is told in a sentence."""

import os
import signal
import sys
import time

import psutil
import pytest

from bench.worker import process
from bench.worker.process import Worker, WorkerError, WorkerUnavailable

ECHO = """
import json, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    exec(request.get("do", ""))
    print(json.dumps({"echo": request}), flush=True)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a Python program in the worker's place."""
    package = tmp_path / "bench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    workers = []

    def begin(program=ECHO):
        (package / "worker.py").write_text(program)
        workers.append(Worker([], tmp_path / "log"))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.kill()
        worker.close()


def is_stopped(worker):
    return psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED


def test_a_worker_says_that_it_is_ready_and_answers(start):
    worker = start()
    assert worker.receive() == {"ready": True}
    assert worker.ask({"x": 1}) == {"echo": {"x": 1}}
    assert worker.ask({"x": 2}) == {"echo": {"x": 2}}


def test_an_idle_worker_is_stopped_and_goes_on_when_it_is_asked(start):
    worker = start()
    worker.receive()
    assert is_stopped(worker)
    worker.ask({})
    assert is_stopped(worker)


def test_an_idle_worker_s_spinning_threads_take_no_cpu(start):
    """An answer is the worker's last act: nothing is left running when it arrives."""
    worker = start()
    worker.receive()
    spin = "import threading\ndef spin():\n  while True: pass\n"
    worker.ask(
        {"do": spin + "for _ in range(3): threading.Thread(target=spin, daemon=True).start()"}
    )
    used_s = worker.cpu_s()
    time.sleep(0.2)
    assert worker.cpu_s() == used_s


def test_closing_ends_a_stopped_worker(start):
    worker = start()
    worker.receive()
    worker.close()
    assert not psutil.pid_exists(worker.pid)


def test_ctrl_c_does_not_reach_a_worker(start):
    worker = start()
    assert os.getpgid(worker.pid) != os.getpgid(0)


def test_a_failure_is_told_and_the_worker_goes_on(start):
    worker = start(ECHO.replace('{"echo": request}', '{"error": "no"} if request else {"ok": 1}'))
    worker.receive()
    with pytest.raises(WorkerError, match="no"):
        worker.ask({"x": 1})
    assert worker.ask({}) == {"ok": 1}


def test_a_worker_that_cannot_run_here_is_told_apart(start):
    worker = start('print(\'{"unavailable": "no GPU"}\', flush=True)')
    with pytest.raises(WorkerUnavailable, match="no GPU"):
        worker.receive()


def test_a_killed_worker_is_told_by_its_signal(start):
    worker = start()
    worker.receive()
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        worker.ask({"do": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"})
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        worker.ask({})


def test_a_worker_that_is_killed_while_it_is_idle_is_told(start):
    worker = start()
    worker.receive()
    os.kill(worker.pid, signal.SIGTERM)
    with pytest.raises(WorkerError, match="killed by SIGTERM"):
        worker.ask({})


def test_a_worker_that_ends_tells_its_code_and_last_words(start):
    worker = start("import sys; print('first', file=sys.stderr); sys.exit('out of memory')")
    with pytest.raises(WorkerError, match="exit code 1: out of memory"):
        worker.receive()


def test_a_worker_that_hangs_is_ended(start):
    worker = start("import time; time.sleep(600)")
    with pytest.raises(WorkerError, match="said nothing"):
        worker.receive(limit_s=0.3)
    assert not psutil.pid_exists(worker.pid)


def test_after_an_error_a_busy_worker_is_ended_at_once(start, monkeypatch):
    monkeypatch.setattr(process, "STOP_S", 60.0)
    worker = start("import time; time.sleep(600)")
    with pytest.raises(KeyboardInterrupt), worker:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(worker.pid)


def test_a_worker_can_have_another_interpreter_and_variables(start, tmp_path):
    start().close()  # puts the program in place
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    (tmp_path / "bench" / "worker.py").write_text(
        "import json, os; print(json.dumps({'x': os.environ['X']}), flush=True); input()"
    )
    with Worker([], tmp_path / "log", python=other, variables={"X": "1"}) as worker:
        assert worker.receive() == {"x": "1"}


def test_sigkill_may_mean_that_memory_ran_out(start):
    worker = start()
    worker.receive()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="out of memory"):
        worker.ask({})
