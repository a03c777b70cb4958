"""`python -m bench` tells mistakes in one sentence, and measures end to end."""

import json
import os
import subprocess
import sys
import types

import pytest

from bench.cli import COMMANDS, main
from bench.commands import run as run_command
from bench.plan import from_options as planning
from bench.plan.from_options import find_devices, in_dtypes, make_plans
from bench.plan.options import make_parser
from bench.results.surroundings import environment_of
from bench.results.unverified import unverified_of
from bench.worker.process import WorkerError
from bench.workload.workload import Workload
from reports.commands import UsageError
from reports.saved.records import read_run
from tests.bench.helpers import contestant, group
from tests.conforming import file_misfits, record_misfits
from verify.candidate.own_files import digest, table_of_candidate

CPU = ["--model", "random:tiny", "--device", "cpu"]
OWN = "tests/verify/models/own_names.py:MyGPT"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """No worker starts, and no run outside `tmp_path`."""
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path))
    monkeypatch.setattr(planning, "found_devices", lambda: (["cpu"], "MAX finds no accelerator"))
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


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {word} " in text for word in COMMANDS)
    assert {"peers", "env"} <= COMMANDS.keys()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--arms", "max,jax"], "unknown arm 'jax'"),
        (["--arms", ""], "unknown arm"),
        (["--model", "random:huge"], "presets are"),
        (["--model", "no/such/folder/here"], "no/such/folder/here"),
        ([*CPU, "-p", "257"], "256 positions"),
        ([*CPU, "-n", "225"], "257, more than"),
        ([*CPU, "-d", "0,256"], "272, more than"),
        ([*CPU, "--baseline", "jax"], "unknown arm 'jax'"),
        ([*CPU, "--baseline", "openvino"], "takes no part; the arms are max, torch"),
        ([*CPU, "--dtype", "float16"], "unknown dtype 'float16'"),
        ([*CPU, "--arms", "onnxruntime", "--dtype", "bfloat16"], "onnxruntime has no bfloat16"),
        (["sing"], "unknown command 'sing'"),
        ([*CPU, "--candidate", "mine.py"], "is not FILE.py:NAME"),
        ([*CPU, "--candidate", "nowhere.py:Model"], "there is no file nowhere.py"),
        ([*CPU, "--candidate", "no_such.model:Model"], "there is no module no_such.model"),
        ([*CPU, "--candidate", OWN, "--pairing", "nowhere.toml"], "there is no file nowhere.toml"),
        ([*CPU, "--arms", "candidate"], "need --candidate"),
        ([*CPU, "--pairing", "mine.toml"], "need --candidate"),
        ([*CPU, "--logits", "first"], "first"),
        ([*CPU, "-p", "0", "-n", "0"], "nothing to time"),
        (["-p", "-1"], "'-1'"),
        (["-n", "x"], "'x'"),
        (["-b", "0"], "above 0"),
        (["-d", "-1"], "'-1'"),
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


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--arms", "max,torch", "run", "-p", "8"], ("run", ["--arms", "max,torch", "-p", "8"])),
        (["--arms", "max", "null", "--no-load"], ("null", ["--arms", "max", "--no-load"])),
        (["--arms=max", "run", "-p", "8"], ("run", ["--arms=max", "-p", "8"])),
        (["--cold", "run"], ("run", ["--cold"])),
        (["--arms", "max", "-p", "8"], ("run", ["--arms", "max", "-p", "8"])),
        (["--out", "run", "--arms", "max"], ("run", ["--out", "run", "--arms", "max"])),
        (["compare", "run", "env"], ("compare", ["run", "env"])),
        ([], ("run", [])),
    ],
)
def test_a_command_may_come_after_the_arms_that_tox_writes_before_it(monkeypatch, argv, expected):
    """`tox -e bench-peers -- run -p 8`; what follows an option with a dash is its value."""
    asked = []
    for name in COMMANDS:
        stand_in = types.SimpleNamespace(main=lambda rest, name=name: asked.append((name, rest)))
        monkeypatch.setitem(sys.modules, f"stand_in_{name}", stand_in)
        monkeypatch.setitem(COMMANDS, name, f"stand_in_{name}")
    main(argv)
    assert asked == [expected]


def test_a_candidate_takes_part_beside_the_other_arms_and_every_worker_is_told_of_it(root):
    options = make_parser().parse_args([*CPU, "--candidate", OWN, "--output", "hidden"])
    (plan,), _ = make_plans(options)
    assert plan.arms == ["candidate", "max", "torch", "torch#2"]
    assert plan.named.arguments == ["--candidate", OWN, "--output", "hidden"]
    assert plan.worker_arguments("candidate", "cpu", 1)[-4:] == plan.named.arguments
    environment = environment_of([plan])
    assert environment["candidate"] == OWN
    assert environment["candidate_files"] == table_of_candidate(OWN)
    assert environment["candidate_sha256"] == digest(table_of_candidate(OWN))


def test_a_named_baseline_is_in_the_plan_and_runs_twice(root):
    options = make_parser().parse_args([*CPU, "--baseline", "max"])
    (plan,), _ = make_plans(options)
    assert plan.baseline == "max"
    assert plan.arms == ["max", "torch", "max#2"]
    (usual,), _ = make_plans(make_parser().parse_args(CPU))
    assert (usual.baseline, usual.arms) == ("", ["max", "torch", "torch#2"])


def test_the_reason_names_the_verification_that_a_candidate_wants(root):
    options = make_parser().parse_args([*CPU, "--candidate", OWN])
    (plan,), _ = make_plans(options)
    reasons = unverified_of([plan], environment_of([plan]), root)
    reason = reasons[plan.model, "cpu", "candidate"]
    command = f"python -m verify --model random:tiny --candidate {OWN}"
    assert reason.endswith(f"was never verified with these weights: run `{command}` first")


def test_a_folder_that_cannot_be_written_is_one_sentence(root, capsys):
    (root / "file").write_text("")
    assert "file" in refused(capsys, [*CPU, "--out", str(root / "file")])
    assert "no folder" in refused(capsys, [*CPU, "--json", str(root / "no" / "x.json")])
    assert "cannot be written" in refused(capsys, [*CPU, "--json", str(root)])


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("1.5m", 90), ("90", 90)])
def test_budgets_are_durations(text, seconds):
    assert make_parser().parse_args(["--budget", text]).budget == seconds


def test_sizes_are_lists_without_repetition():
    options = make_parser().parse_args(["-p", "8,16,8", "-b", "1,4"])
    assert options.p == [8, 16]
    assert options.b == [1, 4]


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("run", "compare", "finish", "null", "ceilings", "scaling", "env"):
        assert f"  {name} " in text


def test_each_arm_comes_in_each_dtype_that_it_has():
    assert in_dtypes(["torch"], []) == ["torch"]
    assert in_dtypes(["torch", "onnxruntime"], ["float32", "bfloat16"]) == [
        "torch", "torch-bf16", "onnxruntime",
    ]  # fmt: skip
    assert in_dtypes(["max", "llama.cpp"], ["bfloat16", "int8"]) == [
        "max-bf16", "max-int8", "llama.cpp-bf16", "llama.cpp-q8_0",
    ]  # fmt: skip
    assert in_dtypes(["max"], ["bfloat16", "bfloat16-products", "bfloat16-cache"]) == [
        "max-bf16", "max-bf16-products", "max-bf16-cache",
    ]  # fmt: skip
    assert in_dtypes(["torch"], ["bfloat16"]) == ["torch-bf16"]


def test_devices_are_those_that_are_there(monkeypatch):
    monkeypatch.setattr(planning, "found_devices", lambda: (["cpu", "gpu:0", "gpu:1"], "none"))
    assert find_devices(["all"]) == (["cpu", "gpu:0", "gpu:1"], "")
    assert find_devices(["cpu", "gpu"]) == (["cpu", "gpu:0"], "")
    assert find_devices(["gpu:1"]) == (["gpu:1"], "")
    with pytest.raises(UsageError, match="gpu:7: this machine has cpu, gpu:0"):
        find_devices(["gpu:7"])


PP8 = Workload(batch=1, n_prompt=8)


@pytest.fixture
def measured(root, monkeypatch):
    """Replace the measurement by ready-made contestants."""

    def replace(*, interrupted=False, failure=None, **fields):
        def measure(plan, hall, end_s):
            arms = [
                contestant(label, 1.0, workload=PP8, **fields) for label in ("torch", "torch#2")
            ]
            yield group(*arms, workloads=[PP8])
            for sample in arms[0].samples["pp8"]:
                hall.emit(sample)
            if failure:
                raise failure
            if interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(run_command.runs, "measure", measure)
        out, table = root / "out", root / "out.json"
        code = main(
            [*CPU, "--arms", "torch", "-p", "8", "-n", "0", "--out", str(out), "--json", str(table)]
        )
        return code, read_run(out), table

    return replace


def test_rows_are_recorded_and_written_as_json(measured):
    code, run, table = measured()
    assert code == 0
    assert run.end["statuses"] == {"VALID": 2}
    values = json.loads(table.read_text())
    assert {"schema_version", "rows", "effects", "null", "ceilings", "environment"} <= values.keys()
    assert values["answers"] == ["No other arm took part beside PyTorch."]
    assert values["pairs"] == []
    assert values["null"]["ratio"] == 1
    row, _ = values["rows"]
    asked = (
        "arm,workload,device,dtype,batch,n_prompt,n_gen,n_depth,logits_policy,median_s,ci_lo_s,"
        "ci_hi_s,tok_s,mfu,mbu,roofline_pct,peak_rss_mib,verified,invalid_reasons"
    )
    assert set(asked.split(",")) <= row.keys()
    assert (row["workload"], row["median_s"], row["tok_s"]) == ("pp8", 0.001, 8000)
    assert (run.folder / "bench.md").is_file()


def test_an_idle_worker_is_measured(measured, capsys):
    _, run, _ = measured()
    assert run.end["idle_cpu_pct"] == 0
    assert "An idle worker took 0.00% of a CPU" in capsys.readouterr().out


def test_the_memory_of_each_workload_is_recorded(measured):
    _, run, _ = measured(peak_rss_mib={"pp8": 123.0})
    assert [m["peak_rss_mib"] for m in run.of("memory") if m["workload"] == "pp8"] == [123, 123]


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
    assert json.loads(table.read_text())["rows"][0]["tok_s"] == 8000
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
        "-n", "2", "-d", "4", "--blocks", "4", "--processes", "2", "--seed", "987654",
        "--out", str(tmp_path / "out"), "--json", str(tmp_path / "out.json"),
    ]  # fmt: skip
    # Importing max in this process sets PYTHONEXECUTABLE behind os.environ's back.
    environment = {**os.environ, "MAX_PARITY_RUNS": str(tmp_path / "runs")}  # with no verification
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "out")
    assert record_misfits(tmp_path / "out") == []
    assert file_misfits("bench", tmp_path / "out.json") == []
    rows = {(row["workload"], row["arm"]): row for row in run.of("row")}
    arms = "max", "torch", "torch#2"
    assert rows.keys() == {(w, a) for w in ("pp8", "tg2 @ d4") for a in arms}
    for (_, arm), row in rows.items():
        assert row["status"] == ("INVALID" if arm == "max" else "VALID")
        assert (row["tok_s"] is None) == (arm == "max")
        assert row["first_call_s"] > 0
        assert (row["processes"], row["quads"]) == (2, 2)
    assert "were never verified" in rows["pp8", "max"]["invalid_reasons"][0]
    agreements = run.of("agreement")
    assert len(agreements) == 24
    assert all(agreement["agreed"] for agreement in agreements)
    assert run.end["idle_cpu_pct"] == 0  # stopped, not merely waiting
    assert {ceiling["ceiling"] for ceiling in run.of("ceiling")} == {
        "read", "read_weights", "peak", "gemm", "replay",
    }  # fmt: skip
    assert {memory["phase"] for memory in run.of("memory")} == {"import", "load", "compile", None}
    assert (tmp_path / "out" / "bench.csv").is_file()
    ready = [(one["generation"], one["arm"], one["alone"]) for one in run.of("ready")]
    assert ready == [(g, arm, g == 0) for g in (0, 1) for arm in arms]
    shares = run.end["shares"]
    assert 0 < shares["judging_s"] < shares["loading_s"] < shares["wall_s"]
    assert "Wall time" in done.stdout
    assert "MAX has no speed here (INVALID: these weights were never verified" in one_line(done)
    assert run.of("pair") == []
    assert killed_and_finished(tmp_path) == run.of("row") + run.of("effect") + run.of("null")


def one_line(done):
    """What was printed, however it was wrapped."""
    return " ".join(done.stdout.split())


def killed_and_finished(tmp_path):
    """The results that `bench finish` makes of what the run had written before its own."""
    lines = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["record"] for line in lines]
    (tmp_path / "killed").mkdir()
    kept = "\n".join(lines[: kinds.index("row")]) + "\n"
    (tmp_path / "killed" / "records.jsonl").write_text(kept)
    assert main(["finish", str(tmp_path / "killed")]) == 0
    run = read_run(tmp_path / "killed")
    return run.of("row") + run.of("effect") + run.of("null")
