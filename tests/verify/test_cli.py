import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.judge.validity import Verified, why_unverified
from reports.saved.records import read_run
from tests.conforming import file_misfits, record_misfits
from verify.candidate.own_files import digest, table_of_candidate
from verify.cli import main

ROOT = Path(__file__).parents[2]
FAULTY = "tests/verify/models/gelu_erf.py:model"


def _verify(*arguments):
    # Importing max sets PYTHONEXECUTABLE behind os.environ's back, and a child that inherits it
    # takes another interpreter's site-packages; os.environ itself is clean.
    return subprocess.run(
        [sys.executable, "-m", "verify", *arguments],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def correct(tmp_path_factory):
    """A short run of impl's own model: its process, its JSON and its folder."""
    folder = tmp_path_factory.mktemp("correct")
    path, out = folder / "outcome.json", folder / "run"
    done = _verify("--regimes", "given", "--lengths", "1,9", "--json", str(path), "--out", str(out))
    return done, json.loads(path.read_text()), out


@pytest.mark.compiles
def test_the_correct_model_passes(correct):
    done, outcome, _ = correct
    assert done.returncode == 0, done.stderr
    assert outcome["verdict"] == "PASS"
    assert outcome["first_divergence"] is None
    assert done.stdout.startswith("Verdict: PASS\n")
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("mlp.act ")]
    assert len(row.split()) == 1 + 6  # a figure for each block


@pytest.mark.compiles
def test_a_check_tells_where_it_was_made(correct):
    """On which weights, device and input; what belongs to none of them says so."""
    _, outcome, _ = correct
    made = {c["mode"]: (c["regime"], c["device"], c["batch"], c["length"])
            for c in outcome["checks"]}  # fmt: skip
    text = next(c for c in outcome["checks"] if c["case"].startswith("given-text"))
    assert (text["batch"], text["length"]) == tuple(
        map(int, text["case"].split("-")[-1].split("x"))
    )
    assert made["isolated"] == made["perplexity"] == ("given", "cpu", text["batch"], text["length"])
    assert made["parameters"] == made["metamorphic"] == ("given", "cpu", None, None)
    assert made["precision"] == (None, "cpu", None, None)
    assert made["power"] == (None, None, None, None)


@pytest.mark.compiles
def test_the_output_fits_100_columns(correct):
    done, _, _ = correct
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.compiles
def test_json_has_the_documented_keys(correct):
    _, outcome, _ = correct
    assert set(outcome) == {
        "schema_version", "verdict", "compiled", "first_divergence", "coverage",
        "observer_effect", "power", "mutants", "notes", "findings", "checks", "environment",
        "graph", "run",
    }  # fmt: skip
    coverage = outcome["coverage"]
    assert coverage["compared"] + len(coverage["excused"]) == coverage["expected"]
    assert outcome["observer_effect"]["max_abs"] == 0
    keys = {"case", "mode", "tap", "shape", "dtype", "max_abs", "rms", "ratio", "used", "verdict"}
    assert all(keys <= check.keys() for check in outcome["checks"])


@pytest.mark.compiles
def test_records_and_json_fit_their_schemas(correct):
    _, _, folder = correct
    assert record_misfits(folder) == []
    assert file_misfits("verify", folder.parent / "outcome.json") == []


@pytest.mark.compiles
def test_every_run_tells_what_it_could_have_noticed(correct):
    _, outcome, _ = correct
    power = outcome["power"]
    assert power["runs"] > 100
    assert power["false_alarms"] == 0
    assert len(power["faults"]) >= 45
    for name, fault in power["faults"].items():
        assert fault["caught"], name
        assert fault["blamed"] == fault["expected"], name
        assert float(fault["margin"]) >= 2, name


@pytest.mark.compiles
def test_the_records_hold_every_check(correct):
    _, outcome, folder = correct
    run = read_run(folder)
    assert len(run.of("check")) == len(outcome["checks"])
    assert run.end["verdict"] == "PASS"
    assert (folder / "checks.csv").is_file()
    assert (folder / "checks.md").is_file()


@pytest.mark.compiles
def test_the_benchmark_counts_the_run_for_the_model_and_for_its_engine(correct):
    _, outcome, folder = correct
    environment = outcome["environment"]
    asked = {
        "command": "", "device": "cpu", "weights_sha256": environment["weights_sha256"],
        "impl_sha256": environment["impl_sha256"], "max_version": environment["versions"]["max"],
    }  # fmt: skip
    (folder.parent / "runs").mkdir()
    (folder.parent / "runs" / "newest").symlink_to(folder)
    assert why_unverified(Verified(engine="", **asked), folder.parent) == ""
    assert why_unverified(Verified(engine="auto", **asked), folder.parent) == ""
    assert "was not verified" in why_unverified(Verified(engine="stock", **asked), folder.parent)


@pytest.mark.compiles
def test_a_machine_without_accelerator_says_so(correct):
    _, outcome, _ = correct
    if outcome["environment"]["accelerator"]:
        pytest.skip("this machine has an accelerator")
    devices = [check for check in outcome["checks"] if check["mode"] == "device"]
    skipped = [check for check in devices if check["case"] == "gpu"]
    assert [(check["case"], bool(check["message"])) for check in skipped] == [("gpu", True)]


@pytest.mark.compiles
def test_a_folder_that_holds_a_run_is_not_overwritten(correct):
    _, _, folder = correct
    before = (folder / "records.jsonl").read_bytes()
    done = _verify("--lengths", "1", "--out", str(folder))
    assert done.returncode == 2
    assert "already holds the records of a run" in done.stderr
    assert (folder / "records.jsonl").read_bytes() == before


@pytest.mark.compiles
def test_one_gelu_by_erf_fails_and_is_blamed_on_its_layer(tmp_path):
    path = tmp_path / "outcome.json"
    done = _verify(
        "--candidate", FAULTY, "--regimes", "given", "--lengths", "9", "--compile-anyway",
        "--json", str(path), "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    outcome = json.loads(path.read_text())
    assert outcome["verdict"] == "FAIL"
    assert outcome["first_divergence"]["tap"] == "transformer.h.3.mlp.act"
    assert "[gelu_erf]" in outcome["first_divergence"]["diagnosis"]
    assert outcome["environment"]["candidate"] == FAULTY
    files = table_of_candidate(FAULTY)
    assert outcome["environment"]["candidate_files"] == files
    assert outcome["environment"]["candidate_sha256"] == digest(files)
    alone = {
        c["tap"] for c in outcome["checks"] if c["mode"] == "isolated" and c["verdict"] == "FAIL"
    }
    assert alone == {"transformer.h.3.mlp.act"}
    exact = {c["tap"] for c in outcome["checks"] if c["mode"] == "math" and c["verdict"] == "FAIL"}
    assert exact == alone
    assert "First divergence: h.3.mlp.act" in done.stdout
    assert "0.5 x (1 + erf(x / sqrt(2)))" in done.stdout


@pytest.mark.compiles
def test_ctrl_c_leaves_the_finished_checks_readable(tmp_path):
    out = tmp_path / "run"
    running = subprocess.Popen(
        [sys.executable, "-m", "verify", "--lengths", "1,2,3,4,5,6,7,8,256", "--out", str(out)],
        cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a CI may have it ignored
    )  # fmt: skip
    records = out / "records.jsonl"
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and running.poll() is None:
        if records.is_file() and b'"logits"' in records.read_bytes():
            break
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=300)
    assert running.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    run = read_run(out)
    assert run.end is None
    assert run.of("check")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "random:gpt5"], "is not random:PRESET"),
        (["--lengths", "257"], "257 tokens are more than the model's 256 positions"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--json", "nowhere/outcome.json"], "there is no folder nowhere"),
        (["--json", "verify"], "--json: verify cannot be written"),
        (["--candidate", "nowhere.py:Model"], "there is no file nowhere.py"),
        (["--candidate", "impl.config:PRESETS"], "neither a class nor a function"),
    ],
)
def test_bad_options_are_one_sentence_and_nothing_is_written(arguments, message, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*arguments, "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--lengths", "0"], ["--lengths", "a"], ["--batch", ""], ["--dtype", "int8"],
     ["--regimes", "calm"], ["--nonsense"]],
)  # fmt: skip
def test_options_that_cannot_be_parsed_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--help" in err


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--lengths", "1", "--out", str(tmp_path / "file" / "run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.environ.get("HF_HUB_OFFLINE") == "1", reason="the hub is switched off")
def test_an_unknown_model_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["--model", "/no/such/folder"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
