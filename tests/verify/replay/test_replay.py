"""A replay that holds, and those that do not, told apart."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from reports.saved.records import RECORDS, read_run
from tests.conforming import file_misfits
from tests.processes import ROOT
from verify.replay.again import recorded_words
from verify.replay.sameness import compared

MODEL = "from layers import model\n"
LAYERS = "from tests.verify.models.own_names import MyGPT as model\n"


def verify(*words):
    return subprocess.run(
        [sys.executable, "-m", "verify", *words], cwd=ROOT, env=os.environ, capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """A run of a candidate of two files, of its mathematics alone."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "model.py").write_text(MODEL)
    (folder / "layers.py").write_text(LAYERS)
    done = verify(
        "--quick", "--candidate", f"{folder}/model.py:model", "--lengths", "5", "--regimes",
        "perturbed", "--out", str(folder / "run"), "--json", str(folder / "old.json"), "-q",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(verified, tmp_path):
    """A copy of the run's folder, to be changed."""
    return shutil.copytree(verified / "run", tmp_path / "run")


def test_a_replay_holds_where_nothing_has_changed(verified, tmp_path):
    file, out = tmp_path / "replay.json", tmp_path / "again"
    done = verify("replay", str(verified / "run"), "--json", str(file), "--out", str(out))
    assert done.returncode == 0, done.stdout
    assert "Replay: holds" in done.stdout
    answer = json.loads(file.read_text())
    assert file_misfits("replay", file) == []
    assert (answer["before"], answer["now"], answer["verdict"]) == ("PASS", "PASS", "PASS")
    assert answer["changed"] == answer["unlike"] == []
    assert answer["checks"] == len(read_run(verified / "run").of("check"))
    assert answer["same_to_the_bit"] > 0
    assert read_run(out).end["verdict"] == "PASS"


def test_another_second_file_is_named_and_judged(verified, tmp_path):
    layers = verified / "layers.py"
    layers.write_text(LAYERS.replace("own_names import MyGPT", "gelu_erf import model"))
    try:
        done = verify("replay", str(verified / "run"))
    finally:
        layers.write_text(LAYERS)
    assert done.returncode == 1
    assert f"- {layers}, of the candidate, has changed" in done.stdout
    assert "Verdict: FAIL, and was PASS" in done.stdout
    assert "Replay: does not hold" in done.stdout


def edited(run, change):
    """The records of a run with another header."""
    header, newline, rest = (run / RECORDS).read_text().partition("\n")
    record = json.loads(header)
    change(record["environment"])
    (run / RECORDS).write_text(json.dumps(record) + newline + rest)
    return run


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda e: e.update(impl_sha256="0" * 64), "- the code of impl/, its Mojo kernels among"),
        (lambda e: e.update(judge_sha256="0" * 64), "- the code that judges"),
        (lambda e: e["versions"].update(max="26.6.0"), "- max is "),
        (lambda e: e.update(cpu="A CPU"), "- cpu: "),
        (lambda e: e.update(threads=99), "- threads: "),
    ],
)
def test_each_thing_that_is_another_one_is_one_sentence(run, change, sentence):
    done = verify("replay", str(edited(run, change)), "--no-judging")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith(sentence)]
    assert f"- {RECORDS} is not as the run wrote it" in lines
    assert len(lines) == 3


def test_a_changed_record_is_caught_even_where_all_else_holds(run):
    path = run / RECORDS
    path.write_text(path.read_text().replace('"tap": "lm_head"', '"tap": "lm_foot"', 1))
    done = verify("replay", str(run), "--no-judging", "-q")
    assert done.returncode == 1
    assert done.stdout == "Replay: does not hold\n"


def test_other_weights_are_told_once_they_are_loaded(run):
    done = verify("replay", str(edited(run, lambda e: e.update(weights_sha256="0" * 64))))
    assert done.returncode == 1
    assert "- the weights have changed: " in done.stdout
    assert "Verdict: PASS, as it was" in done.stdout


def test_the_words_are_those_of_the_run_less_where_it_wrote(verified):
    *words, option, seed = recorded_words(read_run(verified / "run"))
    assert (option, seed.isdecimal()) == ("--seed", True)  # drawn in that run
    assert words == ["--quick", "--candidate", f"{verified}/model.py:model", "--lengths", "5",
                     "--regimes", "perturbed"]  # fmt: skip


def test_what_cannot_be_replayed_is_one_sentence(run, tmp_path):
    lines = (run / RECORDS).read_text().splitlines()
    (run / RECORDS).write_text("\n".join(lines[:-1]) + "\n")
    done = verify("replay", str(run))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("was interrupted: there is no verdict to replay\n")
    assert verify("replay", str(tmp_path)).returncode == 2


# ---- figures


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [("verdict", "FAIL", False), ("max_abs", 1.0, False), ("max_abs", None, True),
     ("shape", [1, 1], False)],
)  # fmt: skip
def test_a_figure_of_float64_may_differ_by_its_own_rounding_alone(verified, field, value, same):
    run, other = read_run(verified / "run"), read_run(verified / "run")
    check = next(c for c in other.of("check") if c["mode"] == "math" and c["envelope_max"])
    check[field] = check["max_abs"] + 0.5 * check["envelope_max"] if value is None else value
    found = compared(run, other)
    assert bool(found.unlike) != same
    assert found.bits == found.checks - 1


def test_a_check_that_is_missing_or_new_is_told(verified):
    run, other = read_run(verified / "run"), read_run(verified / "run")
    check = other.of("check")[0]
    check["case"] = "another"
    assert len(compared(run, other).unlike) == 2
