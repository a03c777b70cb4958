"""Candidates that cheat: none passes, and each is told why."""

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
import transformers

from reports.saved.answer import answered
from verify.cli import main

ROOT = Path(__file__).parents[2]
CHEATS = Path(__file__).parent / "cheats" / "cheats.py"

MASK = r"softmax over all keys|mask_missing|causal"

FAILS = {
    "patches_the_rule": MASK,
    "patches_the_rule_that_is_in_use": MASK,
    "patches_numpy": MASK,
    "raises_the_tolerance": MASK,
    "makes_the_oracle_wrong_too": MASK,
    "looks_for_what_is_expected_in_its_callers": MASK,
    "looks_for_inputs_and_answers_in_memory": MASK,
    "answers_from_a_table_of_the_usual_inputs": MASK,
    "returns_what_stages_are_given": "but the reference has",
    "is_right_only_where_it_is_looked_at": "First divergence: lm_head",
    "patches_max": MASK,
    "prints_a_verdict": MASK,
    "writes_the_verdict_itself": MASK,
    "leaves_a_process_that_writes_the_verdict_later": MASK,
}
"""Cheats that are judged, and what is said of the model."""

ERRORS = {
    "is_another_model_in_each_trace": "two traces of .* differ",
    "remembers_its_first_answer": "remembers_its_first_answer",
    "answers_by_pytorch": "answers_by_pytorch.*raises",
    "exits_with_success": "ended the process, with exit code 0",
    "raises_system_exit": r"calls sys.exit\(0\)",
    "prints_a_verdict_to_the_terminal_and_leaves": "ended the process, with exit code 0",
    "says_that_all_is_done": "ended the process, with exit code 0",
    "answers_in_the_harness_s_own_words": "answers what verify has not asked for",
    "sends_something_to_be_run": "answers what verify has not asked for",
    "ends_the_judge": "something killed the process|raises PermissionError",
    "says_so_in_the_harness_s_own_words": "took more than 3 s",
    "prints_a_verdict_in_a_reason": "Verdict: PASS",
    "looks_for_the_seed": "PermissionError|no seed",
    "takes_for_ever": "took more than 3 s",
    "takes_for_ever_and_says_something_else_all_the_time": "took more than 3 s",
}
"""Cheats that leave nothing to judge, and the reason that is given."""


WHOLE = {
    "ends_the_judge",
    "says_that_all_is_done",
    "says_so_in_the_harness_s_own_words",
    "takes_for_ever",
    "takes_for_ever_and_says_something_else_all_the_time",
    "prints_a_verdict_in_a_reason",
}
"""What these do takes the whole command, its supervisor included."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small GPT-2."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def judged(name, model, tmp_path, monkeypatch, capfd):
    """The exit code of a quick run, what it prints, and its JSON."""
    options = ["--candidate", f"{CHEATS}:{name}", "--quick", "--model", str(model)]
    options += ["--regimes", "given", "--lengths", "9", "--batch", "1", "--time-limit", "3"]
    options += ["--out", str(tmp_path / "run"), "--json", str(tmp_path / "out.json")]
    environment = {"PYTHONPATH": "", "CHEAT_FOLDER": str(tmp_path), "CHEAT_MODEL": str(model)}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    if name in WHOLE:
        command = [sys.executable, "-m", "verify", *options]
        code = subprocess.run(command, cwd=ROOT, check=False, timeout=300).returncode
    else:
        code = answered("verify", main, options)
    printed = capfd.readouterr()
    report = json.loads((tmp_path / "out.json").read_text())
    return code, printed.out + printed.err, report


@pytest.mark.parametrize("name", [*FAILS, *ERRORS])
def test_a_cheat_does_not_pass(name, model, tmp_path, monkeypatch, capfd):
    code, said, report = judged(name, model, tmp_path, monkeypatch, capfd)
    verdict, reason = ("FAIL", FAILS[name]) if name in FAILS else ("ERROR", ERRORS[name])
    assert code == {"FAIL": 1, "ERROR": 2}[verdict], said
    assert report["verdict"] == verdict
    assert [line for line in said.splitlines() if line.startswith("Verdict:")] == [
        f"Verdict: {verdict}" + (", not compiled" if verdict == "FAIL" else "")
    ]
    assert re.search(reason, " ".join(said.split())), said
    assert not (tmp_path / "ran").exists()


def test_no_process_of_a_candidate_outlives_the_run(model, tmp_path, monkeypatch, capfd):
    judged("leaves_a_process_that_writes_the_verdict_later", model, tmp_path, monkeypatch, capfd)
    said = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in said if str(tmp_path) in line]


def test_every_cheat_is_in_the_table():
    text = CHEATS.read_text()
    candidates = set(re.findall(r"^def (\w+)\(config\):", text, re.MULTILINE))
    assert candidates == FAILS.keys() | ERRORS.keys()
