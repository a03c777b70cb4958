"""What a program that calls this one may rely on: `--json` is of this run, or it says why not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reports.commands import UsageError, cannot_run, check_written
from reports.saved.answer import answered
from reports.saved.files import write_json
from reports.saved.records import SCHEMA_VERSION
from tests.processes import ROOT


def read(file):
    return json.loads(file.read_text())


@pytest.fixture
def file(tmp_path):
    """A file that an earlier run has left."""
    path = tmp_path / "out.json"
    path.write_text('{"verdict": "PASS"}')
    return path


@pytest.mark.parametrize("words", [["--json", "{}"], ["--json={}"], ["--quick", "--js", "{}"]])
def test_what_an_earlier_run_left_is_gone_before_anything_happens(file, words):
    seen = []
    answered(
        "verify", lambda argv: seen.append(file.exists()) or 0, [w.format(file) for w in words]
    )
    assert seen == [False]


def test_a_command_that_ends_without_an_answer_leaves_the_sentence_that_it_said(file, capsys):
    code = answered(
        "verify", lambda argv: cannot_run("verify", "no such model"), ["--json", str(file)]
    )
    assert code == 2
    assert read(file)["verdict"] == "ERROR"
    assert read(file)["reason"] == "no such model"
    assert capsys.readouterr().err == "verify: no such model\n"


def test_a_command_that_fails_of_itself_leaves_what_it_failed_with(file):
    def main(argv):
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ZeroDivisionError):
        answered("verify", main, ["--json", str(file)])
    assert read(file)["reason"] == "ZeroDivisionError: by nothing"


def test_an_answer_stays_as_it_was_written(file):
    def main(argv):
        write_json(file, {"verdict": "FAIL"})
        return 1

    assert answered("verify", main, ["--json", str(file)]) == 1
    assert read(file) == {"verdict": "FAIL"}


def test_a_benchmark_without_results_has_no_rows(file, capsys):
    answered("bench", lambda argv: cannot_run("bench", "no arm"), ["--json", str(file)])
    assert read(file) == {
        "schema_version": SCHEMA_VERSION, "verdict": "ERROR", "reason": "no arm", "rows": [],
        "effects": [],
    }  # fmt: skip


def test_a_device_is_never_replaced_by_a_file():
    with pytest.raises(UsageError, match=r"`--json -` writes to standard output"):
        check_written(Path("/dev/stdout"), "--json")


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=os.environ, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["verify", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["verify", "--candidate", "a.py:b", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["verify", "--candidate", "nowhere.py:Model"], "there is no file nowhere.py"),
        (["verify", "sing"], "unknown command 'sing'"),
        (["verify", "step", "7", "nowhere.py"], "there is no file nowhere.py"),
        (["verify", "steps", "nowhere"], "there is no folder nowhere"),
        (["verify", "package", "nowhere", "--seed", "-1"], "--seed must not be negative"),
        (["verify", "campaign", "--seeds", "0"], "--seeds must be at least 1"),
        (["bench", "run", "--arms", "jax"], "unknown arm 'jax'"),
        (["bench", "finish", "nowhere"], "nowhere holds no records.jsonl"),
    ],
)
def test_a_mistake_is_in_the_json_of_every_command_that_has_one(file, words, reason):
    done = run(*words, "--json", str(file))
    assert done.returncode == 2
    assert read(file)["verdict"] == "ERROR"
    assert reason in read(file)["reason"]


def test_json_on_standard_output_is_all_that_is_there(tmp_path):
    done = run(
        "verify", "--quick", "--lengths", "9", "--candidate",
        "tests/verify/models/gelu_erf.py:model", "--out", str(tmp_path / "run"), "--json", "-",
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "FAIL"
    assert "Verdict: FAIL" in done.stderr


def test_a_mistake_on_standard_output_is_json_too():
    done = run("bench", "--arms", "jax", "--json", "-")
    assert done.returncode == 2
    assert json.loads(done.stdout)["verdict"] == "ERROR"
