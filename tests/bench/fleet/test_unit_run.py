"""What a unit hands back becomes a run of its own, and what a table tells of it."""

import pytest

from bench.fleet.unit_run import brief, cells
from bench.fleet.whole_run import WholeRun
from bench.results.whole import make_results
from reports.saved.manifest import differences
from reports.saved.records import RECORDS, RunWriter, read_run
from tests.bench.helpers import PP8, TG4, contestant, group
from verify.fleet.unit import Done

MACHINE = {"record": "machine", "machine": "12345678", "cpu": "Zen"}


@pytest.fixture
def records(tmp_path):
    """Of a run with two arms and two workloads: text, and the same as a run."""
    folder = tmp_path / "measured"
    writer = RunWriter("bench", command=["python"], environment={"model": "tiny"}, out=folder,
                       root=tmp_path)  # fmt: skip
    with writer:
        for workload in (PP8, TG4):
            arms = [contestant("torch", workload=workload, jitter=0.01),
                    contestant("torch#2", workload=workload, jitter=0.01),
                    contestant("max", 5.0, workload=workload, jitter=0.01)]  # fmt: skip
            found = group(*arms, workloads=(workload,), gemm=1e12, read=1e12)
            for record in make_results([found], {}):
                writer.write(record)
        writer.finish({"statuses": {"VALID": 4}, "cpu_pressure_pct": 1.0})
    return (folder / RECORDS).read_text()


def done(*runs, error=None):
    found = (MACHINE, *(run.as_record() for run in runs))
    return Done("a key: with/odd letters", "hash", found, 1.0, "here", "Zen", error)


def test_the_run_is_whole_and_lies_below_the_sweep(records, tmp_path):
    kept = brief(done(WholeRun("run", 0, "", records)), tmp_path)
    (summary,) = [one for one in kept.records if one["record"] == "unit_run"]
    folder = tmp_path / summary["run"]
    assert summary["run"] == "units/a-key-with-odd-letters/run"
    assert (folder / RECORDS).read_text() == records
    assert (folder / "report.html").exists()
    assert differences(folder, RECORDS) == []
    assert kept.error is None
    assert summary["cpu_pressure_pct"] == 1.0


def test_a_cell_is_what_the_runs_own_rows_and_effects_say(records, tmp_path):
    kept = brief(done(WholeRun("run", 0, "", records)), tmp_path)
    run = read_run(tmp_path / "units/a-key-with-odd-letters/run")
    found = {(one["workload"], one["arm"]): one for one in kept.records if one["record"] == "cell"}
    assert found == {(one["workload"], one["arm"]): one for one in cells(run)}
    assert found.keys() == {(w.name, arm) for w in (PP8, TG4) for arm in ("torch", "max")}
    for effect in run.of("effect"):
        cell = found[effect["workload"], effect["arm"]]
        assert cell["ratio"] == effect["ratio"] == pytest.approx(0.5)
        assert (cell["versus"], cell["verdict"]) == ("torch", "FASTER")
    assert found["pp8 b2", "torch"]["ratio"] is None


def test_a_run_that_did_not_come_to_its_end_is_a_unit_that_failed(records, tmp_path):
    cut = "\n".join(records.splitlines()[:-1]) + "\n"
    assert brief(done(WholeRun("run", 2, "no memory", cut)), tmp_path).error == "no memory"
    assert brief(done(WholeRun("run", 2, "no such arm", "")), tmp_path).error == "no such arm"
    assert "exit code -9" in brief(done(WholeRun("run", -9, "", "")), tmp_path).error


def test_what_failed_before_is_kept_as_it_is(tmp_path):
    failed = done(error="no node is left")
    assert brief(failed, tmp_path) is failed
