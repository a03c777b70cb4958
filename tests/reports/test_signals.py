"""SIGTERM ends a program as Ctrl-C does, and a child ends with its parent, stopped or not."""

import os
import signal
import subprocess
import sys

import pytest

from reports.commands import Terminated, exit_code_of, how_stopped, terminable
from tests.processes import gone

PROGRAM = """
import sys, time
from reports.commands import exit_code_of, how_stopped, terminable
try:
    with terminable():
        print("ready", flush=True)
        time.sleep(60)
except KeyboardInterrupt as stop:
    print(how_stopped(stop), flush=True)
    sys.exit(exit_code_of(stop))
"""

WRITES = """
import sys, time
from reports.commands import exit_code_of, terminable
with terminable():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt as stop:
        print("writing", flush=True)
        sys.stdin.readline()
        print("written", flush=True)
        sys.exit(exit_code_of(stop))
"""

FAMILY = """
import os, subprocess, sys, time
child = "import os, sys, time; from reports.commands import end_with_parent; "
child += "end_with_parent(int(sys.argv[1])); print('ready', flush=True); time.sleep(600)"
command = [sys.executable, "-c", child, str(os.getpid())]
for _ in range(2):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def started():
    """Starts a program, and waits for its first line."""
    running = []

    def start(program):
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_both_signals_end_a_program_with_their_own_code(started, number, code, words):
    process, _ = started(PROGRAM)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out.strip(), err) == (code, words, "")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_sigterm_that_follows_does_not_end_the_writing(started, first):
    process, _ = started(WRITES)
    process.send_signal(first)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate("go on\n", timeout=120)
    assert out == "written\n"
    assert process.returncode == (130 if first == signal.SIGINT else 143)


def test_a_second_ctrl_c_ends_the_writing(started):
    process, _ = started(WRITES)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) != 0  # though nobody lets it go on
    assert process.stdout.read() == ""


def test_afterwards_signals_are_handled_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Terminated) as caught, terminable(), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert exit_code_of(caught.value) == 143
    assert how_stopped(KeyboardInterrupt()) == "interrupted"


def test_children_end_with_a_parent_that_is_killed_even_if_they_are_stopped(started):
    parent, first = started(FAMILY)
    pids = [int(first), int(parent.stdout.readline())]
    os.kill(pids[0], signal.SIGSTOP)
    parent.kill()
    parent.wait()
    assert gone(pids)
