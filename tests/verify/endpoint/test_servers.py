"""Servers that the harness starts: they answer inside of the context, and are gone after it."""

import os
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from tests.processes import ROOT, gone, lives, wait_until
from verify.endpoint.servers import LOOPBACK, Server, ServerError, free_port


def web(port, *more):
    """A server of files that comes with Python."""
    return [sys.executable, "-m", "http.server", "--bind", LOOPBACK, str(port), *more]


def at(port):
    return f"http://{LOOPBACK}:{port}/"


def test_a_server_answers_inside_and_is_gone_afterwards(tmp_path):
    port = free_port()
    with Server(web(port), ready=at(port), log=tmp_path / "log") as server:
        assert urllib.request.urlopen(at(port)).status == 200
        assert server.ready_after_s > 0
        pids = [process.pid for process in server.processes]
        assert pids
    assert gone(pids)
    assert not server.lives
    assert "GET /" in (tmp_path / "log").read_text()


def test_a_server_that_ends_is_quoted(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('no such model: nonsense')"]
    with pytest.raises(ServerError, match=r"exit 1 before it answered.*no such model: nonsense"):
        Server(command, ready=at(free_port()), log=tmp_path / "log").__enter__()


def test_a_command_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ServerError, match="no-such-program cannot be started"):
        Server(["no-such-program"], ready=lambda: False, log=tmp_path / "log").__enter__()


def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path):
    command = [sys.executable, "-uc", "import time; print('loading'); time.sleep(600)"]
    server = Server(command, ready=lambda: False, log=tmp_path / "log", ready_s=2)
    server.start()
    assert wait_until(lambda: server.last_lines() == ["loading"])
    pids = [process.pid for process in server.processes]
    with pytest.raises(ServerError, match="does not answer after 2 s; its log ends: loading"):
        server.wait()
    server.stop()
    assert gone(pids)


DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""
"""A server that does not hear SIGTERM, with a child that has left its process group."""


def test_a_server_that_does_not_hear_is_killed_with_all_that_it_started(tmp_path):
    server = Server([sys.executable, "-c", DEAF], ready=lambda: "up" in server.last_lines(),
                    log=tmp_path / "log", grace_s=0.5)  # fmt: skip
    with server:
        pids = [process.pid for process in server.processes]
        assert len(pids) == 2
    assert gone(pids)


def test_a_server_that_is_killed_takes_its_children_along(tmp_path):
    server = Server([sys.executable, "-c", DEAF], ready=lambda: "up" in server.last_lines(),
                    log=tmp_path / "log")  # fmt: skip
    with server:
        pids = [process.pid for process in server.processes]
        server.kill()
        assert not server.lives
        assert gone(pids)


HARNESS = """
import sys, time
from pathlib import Path
from verify.endpoint.servers import Server
log = Path(sys.argv[1])
with Server([sys.executable, "-c", sys.argv[2]], ready=lambda: log.read_text() == "up\\n", log=log,
            grace_s=0.5) as server:
    print(*[process.pid for process in server.processes], flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_with_a_harness_that_is_killed(tmp_path, number):
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(tmp_path / "log"), DEAF],
        cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with harness:
        pids = [int(word) for word in harness.stdout.readline().split()]
        keeper = psutil.Process(harness.pid).children()[0].pid
        assert len(pids) == 2
        harness.send_signal(number)
        harness.wait()
    assert gone([*pids, keeper])


def test_a_server_gets_the_variables_and_the_folder_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = "import os, time; print(os.environ['OWN'], os.getcwd(), flush=True); time.sleep(600)"
    server = Server([sys.executable, "-c", told], ready=lambda: bool(server.last_lines()),
                    log=tmp_path / "log", environment={"OWN": "variable"})  # fmt: skip
    with server:
        assert server.last_lines() == [f"variable {tmp_path}"]
        assert lives(server.processes[0].pid)
