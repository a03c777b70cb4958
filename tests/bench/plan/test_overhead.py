"""What a run takes besides measuring, as earlier runs on this machine did."""

from bench.plan.overhead import overhead_s
from reports.saved.records import RunWriter
from tests.bench.helpers import plan


def earlier_run(root, phases, model="tiny"):
    with RunWriter("bench", command=[], environment={}, root=root) as writer:
        for arm, phase, seconds in phases:
            place = {"model": model, "workload": None, "arm": arm, "device": "cpu"}
            writer.write({"record": "phase", **place, "phase": phase, "seconds": seconds})


def test_nothing_is_known_without_an_earlier_run(tmp_path):
    assert overhead_s(plan(["max", "torch"]), tmp_path) == (0.0, ["max", "torch"])


def test_each_arm_takes_what_it_took_in_the_newest_run_that_had_it(tmp_path):
    earlier_run(
        tmp_path, [("max", "import", 9.0), ("torch", "import", 5.0), ("torch", "load", 1.0)]
    )
    earlier_run(
        tmp_path,
        [
            ("max", "import", 2.0),
            ("max", "compile", 4.0),
            ("max", "host_copy", 99.0),
            ("max#2", "import", 7.0),
            ("max", "load", None),
        ],
    )
    earlier_run(tmp_path, [("max", "import", 500.0)], model="another")
    seconds, unknown = overhead_s(plan(["max", "torch", "torch#2", "openvino"]), tmp_path)
    assert seconds == 6.0 + 6.0 + 6.0
    assert unknown == ["openvino"]


def test_damaged_runs_are_passed_over(tmp_path):
    earlier_run(tmp_path, [("max", "import", 2.0)])
    (file,) = tmp_path.glob("runs/*/records.jsonl")
    file.write_text("nonsense\n")
    assert overhead_s(plan(["max"]), tmp_path) == (0.0, ["max"])
