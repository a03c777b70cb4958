"""A worker keeps its pipe to itself, times what it is asked to, and reports what fails."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.arms import ArmUnavailable
from bench.worker import WARM_CALLS, ArmServer, _failure
from bench.workloads import Workload, prompt_ids

PP8, TG4 = Workload(batch=2, n_prompt=8), Workload(batch=1, n_gen=4, n_depth=8)


class FakeArm:
    compiles = False

    def __init__(self):
        self.seen = []

    def forward(self, ids):
        self.seen.append(ids)
        return np.zeros((*ids.shape, 5), np.float32)

    def generate(self, ids, n_gen):
        self.seen.append(ids)
        return np.ones((len(ids), n_gen), np.int64)


@pytest.fixture
def server():
    return ArmServer(FakeArm(), 50, 7)


def turn(server, tmp_path, workload, block=3, calls=2):
    request = {
        "op": "turn", "workload": workload.as_dict(), "block": block, "calls": calls,
        "output": str(tmp_path / "out.npy"),
    }  # fmt: skip
    return server.answer(request)


def test_a_turn_times_every_call_and_saves_the_output(server, tmp_path):
    reply = turn(server, tmp_path, PP8)
    assert len(reply["times_ns"]) == 2
    assert min(reply["times_ns"]) > 0
    assert reply["nonvoluntary_switches"] >= 0
    assert reply["peak_rss_mib"] > 0
    assert np.load(tmp_path / "out.npy").shape == (2, 8, 5)
    json.dumps(reply)


def test_a_turn_works_on_the_inputs_of_its_block(server, tmp_path):
    turn(server, tmp_path, PP8, block=3)
    assert np.array_equal(server._arm.seen[0], prompt_ids(PP8, 50, 7, 3))


def test_generation_gives_tokens(server, tmp_path):
    turn(server, tmp_path, TG4)
    assert np.load(tmp_path / "out.npy").shape == (1, 4)


def test_warming_up_uses_inputs_of_no_block(server):
    reply = server.answer({"op": "warm", "workload": PP8.as_dict()})
    assert reply.keys() == {"first_call_s", "estimate_s"}
    assert len(server._arm.seen) == WARM_CALLS
    for block in range(20):
        assert not np.array_equal(server._arm.seen[0], prompt_ids(PP8, 50, 7, block))


def test_an_unknown_request_is_refused(server):
    with pytest.raises(ValueError, match="sing"):
        server.answer({"op": "sing", "workload": PP8.as_dict()})


def test_failures_are_one_line():
    assert _failure(ValueError("two\nlines")) == {"error": "ValueError: two lines"}
    assert _failure(MemoryError()) == {"error": "MemoryError"}
    assert _failure(ArmUnavailable("no GPU")) == {"unavailable": "no GPU"}


PROGRAM = """
import os, sys
from bench.worker import _private_pipes, _send
requests, replies = _private_pipes()
print("python noise")
os.write(1, b"native noise\\n")
_send(replies, {"stdin": sys.stdin.read(), "request": requests.readline()})
"""


def test_what_libraries_print_and_read_does_not_touch_the_protocol():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input="hello\n", capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"stdin": "", "request": "hello\n"}
    assert "python noise" in done.stderr
    assert "native noise" in done.stderr
