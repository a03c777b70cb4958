"""MAX's log thread computes when nobody else does; other threads are left alone."""

import os
import subprocess
import sys
import threading

import pytest

from impl import log_thread
from impl.log_thread import log_thread_yields

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux alone has the class")

FRESH_PROCESS = """
import os, time
import numpy as np
from impl.engine import Engine
from impl.log_thread import TASKS
from reference.load import load

checkpoint = load("random:tiny")
Engine(checkpoint.config, checkpoint.weights).decode(np.array([1]))

def waits(task):
    lines = (task / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary")).split()[1])

before = {task.name: waits(task) for task in TASKS.iterdir()}
time.sleep(0.5)
for task in TASKS.iterdir():
    if waits(task) - before.get(task.name, 0) > 200:
        print("often", os.sched_getscheduler(int(task.name)) == os.SCHED_IDLE)
print("main", os.sched_getscheduler(0) == os.SCHED_OTHER)
"""


def test_a_thread_of_pythons_that_begins_meanwhile_is_left_alone(monkeypatch):
    monkeypatch.setattr(log_thread, "_begun", threading.Event())
    end = threading.Event()
    with log_thread_yields():
        thread = threading.Thread(target=end.wait)
        thread.start()
    assert os.sched_getscheduler(thread.native_id) == os.SCHED_OTHER
    end.set()
    thread.join()


def test_an_error_passes_through(monkeypatch):
    monkeypatch.setattr(log_thread, "_begun", threading.Event())
    with pytest.raises(ValueError, match="no"), log_thread_yields():
        raise ValueError("no")


@pytest.mark.compiles
def test_whoever_wakes_all_the_time_has_the_class_for_idle_work():
    told = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS],
        capture_output=True, text=True, check=True, env=os.environ,
    ).stdout.splitlines()  # fmt: skip
    assert told in (["often True", "main True"], ["main True"])
