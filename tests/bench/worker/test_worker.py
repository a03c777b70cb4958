"""A worker keeps its pipe to itself, times what it is asked to, and reports what fails."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.arms.base import Arm, ArmUnavailable
from bench.worker.__main__ import _failure
from bench.worker.server import WARM_CALLS, ArmServer
from bench.workload.workload import Workload, prompt_ids

PP8, TG4 = Workload(batch=2, n_prompt=8), Workload(batch=1, n_gen=4, n_depth=8)


class FakeArm(Arm):
    def __init__(self):
        self.seen = []

    def forward(self, ids, logits):
        self.seen.append(ids)
        return np.zeros((len(ids), ids.shape[1] if logits == "all" else 1, 5), np.float32)

    def generate(self, ids, n_new, stamp):
        self.seen.append(ids)
        for _ in range(n_new):
            stamp()
        return np.ones((len(ids), n_new), np.int64)


@pytest.fixture
def server():
    return ArmServer(FakeArm(), 50, 7)


def turn(server, tmp_path, workload, block=3, calls=2, **fields):
    request = {
        "op": "turn", "workload": workload.as_dict(), "block": block, "calls": calls,
        "output": str(tmp_path / "out.npy"), **fields,
    }  # fmt: skip
    return server.answer(request)


def test_a_turn_times_every_call_and_saves_the_output(server, tmp_path):
    reply = turn(server, tmp_path, PP8)
    assert len(reply["times_ns"]) == 2
    assert min(reply["times_ns"]) > 0
    assert reply["switches"] >= 0
    assert reply["wall_s"] * 1e9 >= sum(reply["times_ns"])
    assert reply["peak_rss_mib"] > 0
    assert np.load(tmp_path / "out.npy").shape == (2, 8, 5)
    json.dumps(reply)


def test_a_turn_works_on_the_inputs_of_its_block(server, tmp_path):
    turn(server, tmp_path, PP8, block=3)
    assert np.array_equal(server._arm.seen[0], prompt_ids(PP8, 50, 7, 3))


def test_generation_gives_tokens_and_the_time_of_each(server, tmp_path):
    reply = turn(server, tmp_path, TG4, calls=1)
    assert np.load(tmp_path / "out.npy").shape == (1, 5)
    (steps_ns,) = reply["steps_ns"]
    assert len(steps_ns) == 4
    assert reply["times_ns"] == [sum(steps_ns)]
    assert reply["ttft_ns"][0] > 0


def test_a_forward_pass_has_no_times_of_tokens(server, tmp_path):
    reply = turn(server, tmp_path, PP8)
    assert reply["steps_ns"] == reply["ttft_ns"] == []


def test_an_arm_that_tells_too_few_tokens_is_an_error(server, tmp_path):
    server._arm.generate = lambda ids, n_new, stamp: stamp()
    with pytest.raises(RuntimeError, match="1 tokens were announced, not 5"):
        turn(server, tmp_path, TG4)


def test_a_planted_delay_is_a_share_of_each_call(server, tmp_path):
    server._arm.forward = lambda ids, logits: time.sleep(0.01)
    plain, slow = (
        sum(turn(server, tmp_path, PP8, calls=5, delay=delay)["times_ns"]) for delay in (0.0, 1.0)
    )
    assert slow >= 2 * 5 * 10e6
    assert plain >= 5 * 10e6


def test_a_planted_delay_is_exactly_that_share_of_each_reported_time(server, tmp_path):
    """What the turn waits at its end, no call waits: a pause before a call can cost extra."""
    log = []
    server._arm.forward = lambda ids, logits: log.append(time.perf_counter_ns())
    monotonic = time.perf_counter_ns()
    reply = turn(server, tmp_path, PP8, calls=6, delay=0.5)
    whole = time.perf_counter_ns() - monotonic
    gaps = np.diff(log)
    assert max(gaps) < whole  # calls follow each other
    assert reply["wall_s"] * 1e9 >= sum(reply["times_ns"])


def test_a_delay_stretches_decode_times_too(server, tmp_path):
    server._arm.generate = lambda ids, n_new, stamp: [
        (time.sleep(0.002), stamp()) for _ in range(n_new)
    ]
    plain, slow = (
        min(turn(server, tmp_path, TG4, calls=calls, delay=delay)["times_ns"])
        for calls, delay in ((20, 0.0), (3, 4.0))
    )
    assert slow >= 5 * TG4.n_gen * 2e6  # no sleep is shorter than it was asked to be
    assert plain < slow


def test_what_a_pause_before_a_call_costs_is_told(server):
    """An arm that must wake up after a millisecond without a call."""
    last = [0.0]

    def forward(ids, logits):
        if time.perf_counter() - last[0] > 0.0008:
            time.sleep(0.003)
        last[0] = time.perf_counter()

    server._arm.forward = forward
    request = {"op": "pause", "workload": PP8.as_dict(), "pause_s": 0.001}
    reply = server.answer(request)
    assert reply["paused_s"] > 0.003
    assert reply["tight_s"] < reply["paused_s"]


def test_warming_up_uses_inputs_of_no_block(server):
    reply = server.answer({"op": "warm", "workload": PP8.as_dict()})
    assert reply.keys() == {"first_call_s", "estimate_s", "host_copy_s"}
    assert len(server._arm.seen) == WARM_CALLS
    for block in range(20):
        assert not np.array_equal(server._arm.seen[0], prompt_ids(PP8, 50, 7, block))


def test_an_unknown_request_is_refused(server):
    with pytest.raises(ValueError, match="sing"):
        server.answer({"op": "sing", "workload": PP8.as_dict()})


def test_phases_have_durations_and_peaks_of_their_own():
    program = """
import json
from bench.worker.__main__ import Phases
phases = Phases()
held = bytearray(b"x") * (96 << 20)
del held
phases.end("load")
phases.end("compile")
phases.end("nothing", exists=False)
print(json.dumps([phases.seconds, phases.memory]))
"""
    # In a process of its own: in one that holds gigabytes, what is given back is taken again.
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True
    )
    seconds, memory = json.loads(done.stdout)
    peaks = {name: held["peak_rss_mib"] for name, held in memory.items()}
    assert peaks["load"] - peaks["compile"] > 64
    assert seconds["load"] > 0
    assert seconds["nothing"] is None
    assert "nothing" not in memory


def test_failures_are_one_line():
    assert _failure(ValueError("two\nlines")) == {"error": "ValueError: two lines"}
    assert _failure(MemoryError()) == {"error": "MemoryError"}
    assert _failure(ArmUnavailable("no GPU")) == {"unavailable": "no GPU"}


PROGRAM = """
import os, sys
from bench.worker.__main__ import _private_pipes, _send
requests, replies = _private_pipes()
print("python noise")
os.write(1, b"native noise\\n")
_send(replies, {"stdin": sys.stdin.read(), "request": requests.readline()})
"""


def test_what_libraries_print_and_read_does_not_touch_the_protocol():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="hello\n",
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"stdin": "", "request": "hello\n"}
    assert "python noise" in done.stderr
    assert "native noise" in done.stderr
