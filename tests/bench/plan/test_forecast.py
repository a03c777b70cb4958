"""What a run will spend its time on, as earlier runs on this machine did."""

import pytest

from bench.plan import forecast as module
from bench.plan.forecast import OFFICIALS_S, forecast
from reports.saved.machine import cpu_model
from reports.saved.records import RunWriter
from tests.bench.helpers import plan

TORCH = [("torch", "import", 3.0), ("torch", "load", 2.0)]
MAX = [("max", "import", 1.0), ("max", "load", 1.0), ("max", "compile", 50.0)]


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: [0, 1])


def earlier_run(root, phases, *, model="tiny", cache="cold", end=None, cpu=None, generation=0):
    environment = {"cpu": cpu or cpu_model()}
    with RunWriter("bench", command=[], environment=environment, root=root) as writer:
        for arm, phase, seconds in phases:
            place = {"model": model, "workload": None, "arm": arm, "device": "cpu"}
            which = {"cache": cache if phase == "compile" else None, "generation": generation}
            writer.write({"record": "phase", **place, "phase": phase, "seconds": seconds, **which})
        writer.finish(end or {})


def told(plans, root, budget_s):
    return " ".join(forecast(plans, root).lines(budget_s))


def test_without_an_earlier_run_it_says_that_nothing_is_known(tmp_path):
    asked = plan(["max", "torch", "torch#2"], blocks=None, budget_s=100.0)
    found = forecast([asked], tmp_path)
    assert found.unknown == ("max", "torch")
    assert found.whole_s == 100
    text = told([asked], tmp_path, 100.0)
    assert "No earlier run here says how long max, torch takes" in text
    assert "This takes about 1 min 30 s" in text


def test_a_budget_holds_loading_compiling_judging_and_measuring(tmp_path):
    shares = {"wall_s": 60.0, "loading_s": 20.0, "judging_s": 8.0}
    earlier_run(tmp_path, [*TORCH, *MAX], end={"shares": shares})
    asked = plan(["max", "torch", "torch#2"], blocks=None, budget_s=200.0)
    found = forecast([asked], tmp_path)
    assert found.compiling_s == 50
    again_s = (2 + 2 + 5 + 5) / 2  # a warm compile; two at once
    assert found.loading_s == pytest.approx(2 + 5 + 5 + OFFICIALS_S + 4 * again_s)
    rest_s = 200 - 50 - found.loading_s
    assert found.judging_s == pytest.approx(0.2 * rest_s)
    assert found.whole_s == pytest.approx(200)
    assert found.processes == 5


def test_little_time_has_room_for_fewer_processes_and_says_so(tmp_path):
    earlier_run(tmp_path, TORCH)
    asked = plan(["torch", "torch#2"], blocks=None, budget_s=27.0)
    found = forecast([asked], tmp_path)
    assert found.processes == 3
    assert "has room for 3 of 5 processes of each arm." in told([asked], tmp_path, 27.0)
    shorter = plan(["torch", "torch#2"], blocks=None, budget_s=20.0)
    assert "processes of each arm: no verdicts." in told([shorter], tmp_path, 20.0)


def test_what_cannot_be_cut_short_is_said_though_it_is_longer_than_the_budget(tmp_path):
    earlier_run(tmp_path, [*TORCH, *MAX])
    asked = plan(["max", "torch"], blocks=None, budget_s=30.0)
    found = forecast([asked], tmp_path)
    assert found.whole_s > 60
    assert found.measuring_s == 0
    assert found.processes == 1


def test_the_newest_run_with_an_arm_tells_of_it_and_damaged_ones_are_passed_over(tmp_path):
    earlier_run(tmp_path, [("torch", "load", 9.0), ("max", "load", 4.0)])
    earlier_run(tmp_path, [("torch", "load", 5.0), ("torch#2", "load", 99.0)])
    earlier_run(tmp_path, [("torch", "load", 77.0)], model="another")
    earlier_run(tmp_path, [("torch", "load", 66.0)], cpu="another CPU")
    earlier_run(tmp_path, [("torch", "load", 55.0)], generation=3)
    earlier_run(tmp_path, [])
    newest = max(tmp_path.glob("runs/*/records.jsonl"))
    newest.write_text("nonsense\n")
    found = forecast([plan(["max", "torch"], processes=1)], tmp_path)
    assert found.loading_s == pytest.approx(4 + 5 + OFFICIALS_S)


def test_counted_turns_have_no_end_that_is_known(tmp_path):
    earlier_run(tmp_path, TORCH)
    text = told([plan(["torch", "torch#2"])], tmp_path, None)
    assert "as long as the turns that were asked for; loading 5 processes" in text
