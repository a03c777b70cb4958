"""`python -m bench` tells mistakes in one sentence, and measures end to end."""

import json
import subprocess
import sys

import pytest

import bench.cli
from bench.cli import main
from bench.contestant import Contestant
from bench.options import make_parser
from bench.process import WorkerError
from reports.records import RunWriter, read_run

CPU = ["--model", "random:tiny", "--device", "cpu"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """No worker starts, and no run outside `tmp_path`."""
    monkeypatch.setattr(bench.cli, "ROOT", tmp_path)
    monkeypatch.setattr(bench.cli, "_found_devices", lambda: (["cpu"], "MAX finds no accelerator"))
    monkeypatch.setattr(bench.cli, "RunWriter", lambda *a, **k: RunWriter(*a, root=tmp_path, **k))
    return tmp_path


def refused(capsys, arguments):
    """The one sentence on stderr of a run that exits with 2."""
    try:
        code = main(arguments)
    except SystemExit as leaving:
        code = leaving.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--arms", "max,jax"], "unknown arm 'jax'"),
        (["--arms", ""], "unknown arm"),
        (["--model", "random:huge"], "presets are"),
        (["--model", "no/such/folder/here"], "no/such/folder/here"),
        ([*CPU, "-p", "257"], "256 positions"),
        ([*CPU, "-n", "225"], "257, more than"),
        ([*CPU, "-p", "0", "-n", "0"], "nothing to time"),
        (["-p", "-1"], "'-1'"),
        (["-n", "x"], "'x'"),
        (["-b", "0"], "above 0"),
        (["-d", "0"], "above 0"),
        (["--blocks", "0"], "above 0"),
        (["--seed", "-3"], "'-3'"),
        (["--threads", "100000"], "usable CPUs"),
        (["--budget", "soon"], "duration"),
        (["--budget", "0s"], "duration"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--model", "random:tiny", "--device", "gpu"], "finds no accelerator"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(root, capsys, arguments, part):
    assert part in refused(capsys, arguments)
    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(root, capsys):
    (root / "file").write_text("")
    assert "file" in refused(capsys, [*CPU, "--out", str(root / "file")])
    assert "no folder" in refused(capsys, [*CPU, "--json", str(root / "no" / "x.json")])
    assert "cannot be written" in refused(capsys, [*CPU, "--json", str(root)])


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("1.5m", 90), ("90", 90)])
def test_budgets_are_durations(text, seconds):
    assert make_parser().parse_args(["--budget", text]).budget == seconds


def test_sizes_are_lists_without_repetition():
    options = make_parser().parse_args(["run", "-p", "8,16,8", "-b", "1,4"])
    assert options.p == [8, 16]
    assert options.b == [1, 4]


@pytest.fixture
def measured(root, monkeypatch):
    """Replace the measurement by ready-made contestants."""

    def replace(*, interrupted=False, failure=None, **fields):
        def measure(plan, emit, logs, status):
            samples = [
                {"record": "sample", "quad": q, "block": 2 * q + t, "call": 0, "time_ns": 1_000_000,
                 "cpu_pressure_us": 0}
                for q in range(6) for t in range(2)
            ]  # fmt: skip
            yield [
                Contestant("torch", "cpu", samples={"pp8": samples}, judged={"pp8": 12}, **fields)
            ]
            for sample in samples:
                emit(sample)
            if failure:
                raise failure
            if interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(bench.cli, "measure", measure)
        out, table = root / "out", root / "out.json"
        code = main([*CPU, "-p", "8", "-n", "0", "--out", str(out), "--json", str(table)])
        return code, read_run(out), table

    return replace


def test_rows_are_recorded_and_written_as_json(measured):
    code, run, table = measured()
    assert code == 0
    assert run.end["statuses"] == {"VALID": 1}
    values = json.loads(table.read_text())
    assert values.keys() == {"schema_version", "rows", "effects", "environment"}
    (row,) = values["rows"]
    assert (row["workload"], row["median_s"], row["tok_s"]) == ("pp8", 0.001, 8000)
    assert (run.folder / "bench.md").is_file()


def test_outputs_that_disagree_are_exit_code_1(measured):
    code, run, _ = measured(disagreements={"pp8": "off by 1"})
    assert code == 1
    assert run.of("row")[0]["status"] == "INVALID"


def test_a_worker_that_died_is_exit_code_2_with_a_row(measured):
    code, run, _ = measured(error="the worker was killed by SIGKILL")
    assert code == 2
    assert run.of("row")[0]["status"] == "ERROR"


def test_ctrl_c_keeps_what_was_measured(measured, capsys):
    code, run, table = measured(interrupted=True)
    assert code == 130
    assert len(run.of("sample")) == 12
    assert run.of("row")[0]["tok_s"] == 8000
    assert run.end is None
    assert not table.exists()
    assert "interrupted" in capsys.readouterr().err


def test_a_referee_that_fails_is_one_sentence_and_keeps_the_samples(measured, capsys):
    code, run, _ = measured(failure=WorkerError("the referee failed: out of memory"))
    assert code == 2
    assert len(run.of("sample")) == 12
    assert capsys.readouterr().err == "bench: the referee failed: out of memory\n"


@pytest.mark.compiles
def test_max_and_torch_are_measured_end_to_end(tmp_path):
    """Without a verification: MAX's outputs are judged, but its speed is not shown."""
    command = [
        sys.executable, "-m", "bench", "--model", "random:tiny", "--device", "cpu", "-p", "8",
        "-n", "2", "-d", "4", "--blocks", "2", "--seed", "987654", "--out", str(tmp_path / "out"),
        "--json", str(tmp_path / "out.json"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "out")
    rows = {(row["workload"], row["arm"]): row for row in run.of("row")}
    assert rows.keys() == {(w, a) for w in ("pp8", "tg2") for a in ("max", "torch")}
    for (_, arm), row in rows.items():
        assert row["status"] == ("INVALID" if arm == "max" else "VALID")
        assert (row["tok_s"] is None) == (arm == "max")
        assert row["first_call_s"] > 0
    assert "--seed 987654" in rows["pp8", "max"]["invalid_reasons"][0]
    agreements = run.of("agreement")
    assert len(agreements) == 8
    assert all(agreement["agreed"] for agreement in agreements)
    assert run.end is not None
    assert (tmp_path / "out" / "bench.csv").is_file()
