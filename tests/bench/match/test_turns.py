"""Turns are handed out fairly, every output is judged, and a death ends one part alone."""

from collections import Counter

import pytest

from bench.match.contestant import Contestant
from bench.match.turns import Match
from bench.worker.process import WorkerError
from tests.bench.helpers import PP8, plan

SLOW_S = 1.0  # a turn is one call


class FakeWorker:
    def __init__(self, log, name, dies_at=None):
        self.log, self.name, self.dies_at, self.turns = log, name, dies_at, 0

    def cpu_s(self):
        return 0.0

    def ask(self, request):
        if request["op"] == "warm":
            return {"first_call_s": 2.0, "estimate_s": SLOW_S, "host_copy_s": 0.1}
        self.log.append((self.name, request["block"]))
        self.turns += 1
        if self.turns == self.dies_at:
            raise WorkerError("the worker was killed by SIGKILL")
        return {
            "start_ns": 0, "times_ns": [1_000_000] * request["calls"], "ttft_ns": [],
            "steps_ns": [], "switches": 0, "psi_us": 0, "steal_us": 0, "wall_s": 0.001,
            "clean": True, "peak_rss_mib": 1.0, "peak_device_mib": None, "kv_bytes": None,
        }  # fmt: skip


class FakeReferee:
    def __init__(self, wrong_block=None):
        self.wrong_block, self.asked = wrong_block, []

    def ask(self, request):
        self.asked.append(request["block"])
        agreed = request["block"] != self.wrong_block
        return {
            "agreed": agreed,
            "difference": 0.0,
            "allowed": 1.0,
            "message": "" if agreed else "off",
        }


@pytest.fixture
def play(tmp_path):
    def run(blocks=8, referee=None, dies_at=None, budget_s=60.0, ceilings=None):
        log, records = [], []
        contestants = [
            Contestant("max", "cpu", worker=FakeWorker(log, "max", dies_at)),
            Contestant("torch", "cpu", worker=FakeWorker(log, "torch")),
        ]
        judge = referee or FakeReferee()
        Match(
            plan(["max", "torch"], [PP8], blocks=blocks), contestants, judge, tmp_path,
            records.append, lambda _: None, budget_s=budget_s, ceilings=ceilings,
        ).play()  # fmt: skip
        return contestants, log, records, judge

    return run


def test_arms_take_turns_on_the_same_blocks(play):
    _, log, _, _ = play(blocks=8)
    assert Counter(log) == {(arm, block): 1 for arm in ("max", "torch") for block in range(8)}
    for quad in range(4):
        names = [name for name, _ in log[4 * quad : 4 * quad + 4]]
        assert names == names[::-1]


def test_every_timing_is_recorded_with_its_place(play):
    contestants, _, records, _ = play(blocks=4)
    samples = [record for record in records if record["record"] == "sample"]
    assert len(samples) == 8
    assert samples[:4] == sorted(samples[:4], key=lambda sample: sample["position"])
    assert contestants[0].samples[PP8.name] == [s for s in samples if s["arm"] == "max"]


def test_every_output_is_judged_after_the_quad_was_timed(play):
    _, _, records, referee = play(blocks=2)
    assert sorted(referee.asked) == [0, 0, 1, 1]
    kinds = [r["record"] for r in records if r["record"] != "phase"]
    assert kinds == ["held", "sample"] * 4 + ["agreement"] * 4


def test_one_wrong_output_is_remembered(play):
    contestants, _, _, _ = play(blocks=8, referee=FakeReferee(wrong_block=2))
    assert [c.disagreements for c in contestants] == [{PP8.name: "off"}] * 2


def test_when_a_worker_dies_the_others_go_on(play):
    (dead, alive), log, _, _ = play(blocks=8, dies_at=3)
    assert "SIGKILL" in dead.error
    assert len(dead.samples[PP8.name]) == 2
    assert len(alive.samples[PP8.name]) == 8
    assert Counter(name for name, _ in log) == {"max": 3, "torch": 8}


def test_first_calls_are_phases_of_their_own(play):
    contestants, _, records, _ = play(blocks=2)
    phases = [record for record in records if record["record"] == "phase"]
    assert [(p["arm"], p["phase"], p["seconds"]) for p in phases] == [
        (arm, phase, seconds)
        for arm in ("max", "torch")
        for phase, seconds in (("first_call", 2.0), ("host_copy", 0.1))
    ]
    assert contestants[0].first_call_s == {PP8.name: 2.0}


def test_a_short_budget_measures_less_and_never_longer(play):
    _, log, _, _ = play(blocks=None, budget_s=1e-9)
    assert len(log) == 4


def test_the_ceilings_are_measured_in_every_round(play):
    class Counting:
        rounds = 0

        def measure(self, emit):
            self.rounds += 1

    ceilings = Counting()
    play(blocks=8, ceilings=ceilings)
    assert ceilings.rounds == 4


def test_a_samples_place_tells_who_and_where(play):
    _, _, records, _ = play(blocks=2)
    first = next(record for record in records if record["record"] == "sample")
    assert first["model"] == "tiny"
    assert first["workload"] == PP8.name
    assert first["dtype"] == "float32"
    assert {"quad", "block", "position", "call", "clean", "psi_us", "switches"} <= first.keys()
