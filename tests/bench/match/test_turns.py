"""Turns are handed out fairly, every output is judged, and a death ends one part alone."""

from collections import Counter

import pytest

from bench.match.ceiling_rates import Ceilings, Kind
from bench.match.contestant import Contestant
from bench.match.turns import LONGEST_PAUSED_S, PROBE_BLOCK, Match, probe_of
from bench.worker.process import WorkerError
from bench.workload.workload import Workload
from tests.bench.helpers import PP8, TG4, plan

SLOW_S = 1.0  # a turn is one call


class FakeWorker:
    def __init__(self, log, name, dies_at=None, estimate_s=SLOW_S):
        self.log, self.name, self.dies_at, self.turns = log, name, dies_at, 0
        self.estimate_s = estimate_s

    def cpu_s(self):
        return 0.0

    def ask(self, request):
        match request["op"]:
            case "warm":
                return {
                    "first_call_s": 2.0, "estimate_s": self.estimate_s, "host_copy_s": 0.1,
                }  # fmt: skip
            case "pause":
                return {"tight_s": 0.001, "paused_s": 0.0015}
        self.log.append((self.name, request["block"]))
        self.turns += 1
        if self.turns == self.dies_at:
            raise WorkerError("the worker was killed by SIGKILL")
        calls = request["calls"]
        return {
            "start_ns": 0, "times_ns": [1_000_000] * calls, "ttft_ns": [1000] * calls,
            "steps_ns": [[1000]] * calls, "switches": 0, "psi_us": 0, "steal_us": 0,
            "waited_us": 0, "taken_us": 0, "wall_s": 0.001, "clean": True, "peak_rss_mib": 1.0,
            "peak_device_mib": None, "kv_bytes": None,
        }  # fmt: skip


class FakeReferee:
    def __init__(self, wrong_block=None):
        self.wrong_block, self.asked = wrong_block, []

    def ask(self, request):
        return {"agreements": [self.check(item["block"]) for item in request["items"]]}

    def check(self, block):
        self.asked.append(block)
        agreed = block != self.wrong_block
        message = "" if agreed else "off"
        return {"agreed": agreed, "difference": 0.0, "allowed": 1.0, "message": message}


@pytest.fixture
def play(tmp_path):
    def run(
        quads=4, referee=None, dies_at=None, ceilings=None, estimate_s=SLOW_S, workload=PP8,
        log=None, **fields,
    ):  # fmt: skip
        log, records = [] if log is None else log, []
        contestants = [
            Contestant("max", "cpu", worker=FakeWorker(log, "max", dies_at, estimate_s)),
            Contestant("torch", "cpu", worker=FakeWorker(log, "torch", None, estimate_s)),
        ]
        judge = referee or FakeReferee()
        match = Match(
            plan(["max", "torch"], [workload]), contestants, judge, tmp_path, records.append,
            ceilings=ceilings, **fields,
        )  # fmt: skip
        match.warm_up()
        match.play(range(quads))
        return contestants, log, records, judge

    return run


def test_arms_take_turns_on_the_same_blocks(play):
    _, log, _, _ = play(quads=4)
    assert Counter(log) == {(arm, block): 1 for arm in ("max", "torch") for block in range(8)}
    for quad in range(4):
        names = [name for name, _ in log[4 * quad : 4 * quad + 4]]
        assert names == names[::-1]


def test_another_generation_has_the_same_blocks_in_quads_of_its_own(play):
    _, log, records, _ = play(quads=2, generation=3, first_quad=20)
    assert {block for _, block in log} == {0, 1, 2, 3}
    samples = [record for record in records if record["record"] == "sample"]
    assert {sample["quad"] for sample in samples} == {20, 21}
    assert {sample["generation"] for sample in samples} == {3}


def test_every_timing_is_recorded_with_its_place(play):
    contestants, _, records, _ = play(quads=2)
    samples = [record for record in records if record["record"] == "sample"]
    assert len(samples) == 8
    assert samples[:4] == sorted(samples[:4], key=lambda sample: sample["position"])
    assert contestants[0].samples[PP8.name] == [s for s in samples if s["arm"] == "max"]


def test_every_output_is_judged_after_the_quad_was_timed(play):
    _, _, records, referee = play(quads=1)
    assert sorted(referee.asked) == [0, 0, 1, 1]
    kinds = [r["record"] for r in records if r["record"] != "phase"]
    assert kinds == ["sample"] * 4 + ["agreement"] * 4


def test_one_wrong_output_is_remembered(play):
    contestants, _, _, _ = play(quads=4, referee=FakeReferee(wrong_block=2))
    assert [c.disagreements for c in contestants] == [{PP8.name: "off"}] * 2


def test_when_a_worker_dies_the_others_go_on(play):
    (dead, alive), log, records, _ = play(quads=4, dies_at=3)
    assert "SIGKILL" in dead.error
    assert len(dead.samples[PP8.name]) == 2
    assert len(alive.samples[PP8.name]) == 8
    assert Counter(name for name, _ in log) == {"max": 3, "torch": 8}
    (failure,) = [record for record in records if record["record"] == "failure"]
    assert (failure["arm"], failure["error"]) == ("max", dead.error)


def test_first_calls_are_phases_of_their_own(play):
    contestants, _, records, _ = play(quads=1)
    phases = [record for record in records if record["record"] == "phase"]
    assert [(p["arm"], p["phase"], p["seconds"]) for p in phases] == [
        (arm, phase, seconds)
        for arm in ("max", "torch")
        for phase, seconds in (("first_call", 2.0), ("host_copy", 0.1))
    ]
    assert contestants[0].first_call_s == {PP8.name: [2.0]}


def test_what_a_pause_costs_is_measured_where_calls_are_short(play):
    contestants, _, records, _ = play(quads=1, estimate_s=LONGEST_PAUSED_S / 2)
    assert contestants[0].paused == {PP8.name: [pytest.approx(1.5)]}
    assert [r["arm"] for r in records if r["record"] == "pause"] == ["max", "torch"]
    contestants, _, _, _ = play(quads=1, estimate_s=LONGEST_PAUSED_S * 2)
    assert contestants[0].paused == {}


def test_the_ceilings_are_measured_in_the_first_rounds(play):
    class Counting:
        rounds = 0

        def measure(self, emit, generation):
            self.rounds += 1

    ceilings = Counting()
    play(quads=4, ceilings=ceilings, ceiling_rounds=3)
    assert ceilings.rounds == 3


def measurer(log, rate=2e9):
    """Ceilings whose worker notes in the log when it reads."""

    class Reader:
        def ask(self, request):
            log.append((request["ceiling"], request["dtype"]))
            return {"rate": rate, "what": "sum of 5 MiB"}

    return Ceilings(Reader(), "tiny", "cpu", 2, [Kind("read_weights", "float32")])


def test_in_the_middle_of_a_quad_of_decoding_weights_are_read(play):
    log = []
    ceilings = measurer(log)
    _, log, records, _ = play(quads=3, log=log, ceilings=ceilings, workload=TG4, first_quad=7)
    reads = [place for place, (name, _) in enumerate(log) if name == "read_weights"]
    assert reads == [2, 7, 12]  # each quad: two turns, a read, two turns
    assert [r["quad"] for r in records if r["record"] == "rate"] == [7, 8, 9]
    assert ceilings.beside == {"float32": {7: 2e9, 8: 2e9, 9: 2e9}}


def test_a_prompt_is_not_interrupted_by_reading(play):
    log = []
    play(quads=3, log=log, ceilings=measurer(log))
    assert all(name in ("max", "torch") for name, _ in log)


def test_what_was_read_in_a_quad_is_learned_from_its_record(play):
    log = []
    _, _, records, _ = play(quads=2, log=log, ceilings=measurer(log), workload=TG4)
    again = Ceilings(None, "tiny", "cpu", 2)
    for record in (each for each in records if each["record"] == "rate"):
        again.take(record)
    assert again.beside == {"float32": {0: 2e9, 1: 2e9}}


def test_a_samples_place_tells_who_and_where(play):
    _, _, records, _ = play(quads=1)
    first = next(record for record in records if record["record"] == "sample")
    assert first["model"] == "tiny"
    assert first["workload"] == PP8.name
    assert first["dtype"] == "float32"
    assert {"quad", "block", "position", "call", "clean", "psi_us", "switches"} <= first.keys()


def test_what_was_seen_can_be_learned_from_the_records_alone(play):
    contestants, _, records, _ = play(quads=3, estimate_s=0.01, dies_at=5)
    for live in contestants:
        again = Contestant(live.label, "cpu")
        for record in records:
            if record["arm"] == live.label:
                again.take(record)
        live.worker = None
        assert again == live


def test_time_is_accounted_for(play):
    from bench.match.ledger import Ledger

    ledger = Ledger()
    play(quads=2, ledger=ledger)
    assert ledger.spent_s["timing"] > 0
    assert ledger.spent_s["judging"] > 0
    shares = ledger.shares()
    assert sum(s for name, s in shares.items() if name != "wall_s") == pytest.approx(
        shares["wall_s"]
    )


def test_a_first_call_with_empty_caches_is_apart_from_those_of_rows():
    records = []
    cold = Contestant("max", "cpu", worker=FakeWorker([], "max"), generation=None)
    assert cold.warm(PP8, records.append) == SLOW_S
    assert [(r["phase"], r["workload"], r["generation"]) for r in records] == [
        ("first_call", PP8.name, None), ("host_copy", PP8.name, None),
    ]  # fmt: skip
    assert cold.first_call_s == cold.host_copy_s == {}


class ExactReferee:
    """Finds the same exactness in whatever it is shown."""

    def __init__(self):
        self.asked = []

    def ask(self, request):
        assert request["op"] == "exactness"
        self.asked.append((request["workload"], [item["block"] for item in request["items"]]))
        return {"exactness": [{"relative": 6e-3, "error_class": "bfloat16", "message": ""}]}


def test_exactness_is_measured_once_by_a_forward_pass_though_tokens_alone_are_timed(tmp_path):
    """Not where that pass has to be compiled for its size."""
    log, records, referee = [], [], ExactReferee()
    names = ["openvino", "torch-compile"]
    arms = [Contestant(name, "cpu", worker=FakeWorker(log, name)) for name in names]
    match = Match(plan(names, [TG4]), arms, referee, tmp_path, records.append)
    match.measure_exactness()
    match.measure_exactness()
    assert log == [("openvino", PROBE_BLOCK)]
    ((workload, blocks),) = referee.asked
    assert Workload(**workload) == Workload(batch=TG4.batch, n_prompt=TG4.length)
    assert blocks == [PROBE_BLOCK]
    assert arms[0].exactness == (6e-3, "bfloat16", "")
    assert arms[1].exactness is None
    assert probe_of([PP8, TG4]) is PP8, "which every arm is ready for"
    (record,) = records
    assert record["record"] == "exactness"
    assert record["arm"] == "openvino"


def test_the_shortest_pass_that_is_timed_anyway_tells_how_exact_an_arm_is():
    short, long = Workload(batch=1, n_prompt=8), Workload(batch=1, n_prompt=32)
    assert probe_of([TG4, long, short]) is short
