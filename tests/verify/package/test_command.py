"""`python -m verify package`, as a person runs it."""

import json
import subprocess
import sys

import pytest

from tests.conforming import file_misfits, record_misfits
from verify.__main__ import main


def run(capfd, *arguments):
    code = main(["package", *arguments])
    return code, capfd.readouterr()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["LamaForCausalLM"], "LlamaForCausalLM"),
    (["LlamaForCausalLM", "--model", "/no/such/folder"], "/no/such/folder"),
    (["LlamaForCausalLM", "--answers", "speed"], "there is no answer 'speed'"),
    (["LlamaForCausalLM", "--seed", "-1"], "--seed must not be negative"),
    (["BertModel"], "is for embeddings generation"),
])  # fmt: skip
def test_bad_input_is_one_sentence_and_exit_2(arguments, sentence, tmp_path):
    command = [
        sys.executable,
        "-m",
        "verify",
        "package",
        *arguments,
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_correct_package_passes_and_leaves_a_record_a_page_and_json(tmp_path):
    command = [
        sys.executable, "-m", "verify", "package", "Olmo2ForCausalLM_ModuleV3", "--quick",
        "--answers", "weights,mathematics,power", "--out", str(tmp_path / "run"),
        "--json", str(tmp_path / "out.json"), "--pairing", str(tmp_path / "pairs.toml"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Verdict: PASS" in done.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert [one["verdict"] for one in found["answers"].values()] == ["PASS"] * 4
    assert (tmp_path / "run" / "report.html").exists()
    assert "model.layers" in (tmp_path / "pairs.toml").read_text()
    assert record_misfits(tmp_path / "run") == []
    assert file_misfits("verify", tmp_path / "out.json") == []


def test_what_max_gets_wrong_is_exit_1_with_the_module_and_the_number(tmp_path):
    """OLMo 2 of `max.nn`, whose q_norm takes another epsilon than its configuration has."""
    command = [
        sys.executable, "-m", "verify", "package", "Olmo2ForCausalLM", "--quick",
        "--answers", "mathematics", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "self_attn.q_norm: found eps 1e-06 in every block; the reference has eps 0.003" in text
