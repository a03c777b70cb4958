"""A sweep and a table of machines, measured: stopped, continued, put together, published."""

import json
import signal

import pytest

from bench.cli import main
from reports.output.publish import publish
from reports.output.render import render
from reports.saved.manifest import differences
from reports.saved.records import RECORDS, RunWriter, read_run
from reports.tables.machine_rows import machine_rows
from reports.tables.units import opened
from tests.conforming import file_misfits, record_misfits
from tests.processes import family, gone, started, wait_until

QUICK = ("--arms", "torch", "--budget-each", "1s", "--processes", "1")
SWEEP = ("--models", "random:tiny", "-p", "4", "-n", "0", "--threads", "1", *QUICK)


def units_of(folder):
    return [unit["key"] for unit in read_run(folder).of("unit")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where runs go, here and in processes that are started."""
    folder = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_PARITY_RUNS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def stopped(root):
    """A sweep that Ctrl-C ended while its unit was measured: folder, what it said."""
    out = root / "sweep"
    with started("bench", "sweep", *SWEEP, "--out", out) as bench:
        assert wait_until(lambda: len(family(bench)) > 1)
        children = family(bench)
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=120)
    assert bench.returncode == 130
    assert gone(children)
    return out, said


@pytest.fixture(scope="module")
def whole(stopped, root):
    """The same sweep, continued to its end: folder, JSON."""
    out, _ = stopped
    told = root / "out.json"
    assert main(["sweep", *SWEEP, "--out", str(out), "--json", str(told)]) == 0
    return out, told


def test_a_sweep_that_is_stopped_says_how_to_go_on(stopped):
    out, said = stopped
    assert "interrupted; 0 of 1 unit were measured; to go on: " in said
    assert f"--out {out}" in said
    assert (out / "report.html").exists()


def test_a_sweep_that_is_gone_on_with_has_each_unit_once(whole):
    out, told = whole
    assert len(units_of(out)) == 1
    assert read_run(out).end["units"] == 1
    assert record_misfits(out) == []
    assert file_misfits("sweep", told) == []
    assert differences(out, RECORDS) == []


def test_a_sweep_that_is_whole_measures_nothing_more(whole):
    out, _ = whole
    before = (out / RECORDS).read_bytes()
    assert main(["sweep", *SWEEP, "--out", str(out), "-q"]) == 0
    assert (out / RECORDS).read_bytes() == before


def test_other_work_does_not_go_into_the_same_folder(whole, capsys):
    out, _ = whole
    assert main(["sweep", *SWEEP, "--seed", "1", "--out", str(out)]) == 2
    assert "was done with other options" in capsys.readouterr().err


def test_a_units_run_is_whole_and_can_be_rendered_again(whole):
    out, told = whole
    (one,) = opened(read_run(out)).of("unit_run")
    run = read_run(out / one["run"])
    assert run.end is not None
    (row,) = [row for row in run.of("row") if row["arm"] == "torch"]
    assert row["status"] == "VALID"
    (cell,) = json.loads(told.read_text())["cells"]
    assert (cell["tok_s"], cell["workload"]) == (row["tok_s"], "pp4")
    assert render(run.folder)


def test_machines_of_several_runs_make_one_table_that_can_be_published(whole, root, capsys):
    """A unit of a sweep has all that a table of machines needs, and is one here."""
    out, both = root / "machine", root / "both"
    (unit,) = read_run(whole[0]).of("unit")
    writer = RunWriter("machines", command=["python"], environment=read_run(whole[0]).environment,
                       out=out)  # fmt: skip
    with writer:
        writer.write(unit)
        writer.finish({"units": 1, "statuses": {"VALID": 1}})
    assert record_misfits(out) == []
    (machine,) = machine_rows(opened(read_run(out)))
    assert all(machine[name] > 0 for name in ("read_gb_s", "arithmetic_gflop_s", "gemm_gflop_s"))
    assert render(out)
    folder = root / "published" / "machines"
    assert folder / "machines.csv" in publish([out], root)
    capsys.readouterr()
    assert main(["machines", "--from", str(out), str(folder), "--out", str(both)]) == 0
    assert capsys.readouterr().out.count(f"[{machine['machine']}]; caches") == 2
    assert len(opened(read_run(both)).of("machine")) == 2
    assert record_misfits(both) == []
