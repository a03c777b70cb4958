"""A candidate that takes too long, or too much, or the process with it, is a verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from verify.candidate.sandbox import STATUS, needs_child

ROOT = Path(__file__).parents[3]
BAD = """
import os, sys, time

def hangs(config):
    while True:
        pass

def hogs(config):
    kept = []
    while True:
        kept.append(bytearray(50_000_000))
        time.sleep(0.01)

def crashes(config):
    print("last words", flush=True)
    os.kill(os.getpid(), 11)

def leaves(config):
    os._exit(0)

def leaves_a_thread_behind(config):
    import threading
    threading.Thread(target=time.sleep, args=(1000,)).start()
    raise ValueError("no")

def prints_and_raises(config):
    print("not for the terminal")
    raise ValueError("no")
"""


@pytest.fixture
def verified(tmp_path):
    """Run the command line on one of the candidates above."""
    (tmp_path / "bad.py").write_text(BAD)

    def run(name, *options):
        command = [sys.executable, "-m", "verify", "--candidate", f"{tmp_path}/bad.py:{name}"]
        command += ["--model", "random:tiny", "--out", f"{tmp_path}/run", *options]
        command += ["--json", f"{tmp_path}/out.json"]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        return done, json.loads((tmp_path / "out.json").read_text())

    return run


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("hangs", ["--time-limit", "2"], "hangs(config) took more than 2 s (--time-limit)"),
        ("hogs", ["--memory-limit", "3"], "hogs(config) took more than 3.0 GiB of memory"),
        ("crashes", [], "crashes(config): the process crashed (SIGSEGV)"),
        ("leaves", [], "leaves(config) ended the process, with exit code 0"),
        ("leaves_a_thread_behind", [], "leaves_a_thread_behind(config) raises ValueError: no"),
        ("prints_and_raises", [], "prints_and_raises(config) raises ValueError: no"),
    ],
)
def test_the_verdict_is_error_with_the_reason(verified, name, options, reason):
    done, report = verified(name, *options)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Verdict: ERROR" in done.stdout
    assert report["verdict"] == "ERROR"
    assert reason in report["reason"]
    assert "not for the terminal" not in done.stdout + done.stderr
    assert ("  | last words" in done.stderr) == (name == "crashes")


def test_only_commands_that_run_a_candidates_code_need_a_child(monkeypatch):
    monkeypatch.delenv(STATUS, raising=False)
    assert needs_child(["--candidate", "a.py:b"])
    assert needs_child(["--candidate=a.py:b"])
    assert needs_child(["step", "3", "a.py"])
    assert not needs_child(["step", "3", "--explain"])
    assert not needs_child(["steps", "."])
    assert not needs_child(["--power"])
    monkeypatch.setenv(STATUS, "3,4,5")
    assert not needs_child(["step", "3", "a.py"])
