"""`python -m verify` before anything is verified."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verify.options import COMMANDS, DEFAULT, chosen

ROOT = Path(__file__).parents[2]


def run(*arguments, path=""):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-m", "verify", *arguments], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["step", "12", __file__], ["campaign"]])
def test_a_max_with_another_interface_is_one_sentence(arguments, tmp_path):
    (tmp_path / "max").mkdir()
    (tmp_path / "max" / "__init__.py").touch()
    done = run(*arguments, path=tmp_path)
    assert done.returncode == 2
    assert "this is made for MAX 26.7" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_explains_a_step_needs_no_max(tmp_path):
    (tmp_path / "max").mkdir()
    (tmp_path / "max" / "__init__.py").touch()
    assert run("step", "7", "--explain", path=tmp_path).returncode == 0
    assert run("step", "7", "--scaffold", str(tmp_path / "mine.py"), path=tmp_path).returncode == 0


def test_bad_usage_in_the_child_is_its_own_exit_code():
    done = run("--candidate", "a.py:b", "--nonsense")
    assert done.returncode == 2
    assert "unrecognized arguments: --nonsense" in done.stderr
    assert "Verdict" not in done.stdout


def test_help_names_every_command_and_the_options_of_the_default():
    done = run("--help")
    assert done.returncode == 0
    assert "--candidate" in done.stdout
    for word in ("step", "steps", "diff", "campaign", "rules"):
        assert f"\n  {word} " in done.stdout


@pytest.mark.parametrize("word", [*COMMANDS])
def test_every_word_runs_the_module_that_it_names(word):
    done = run(word, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m verify {word} ")


@pytest.mark.parametrize("module", ["verify.campaign", "verify.rules"])
def test_the_modules_can_still_be_run_by_their_paths(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, env=os.environ, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m {module.replace('.', ' ')} ")


@pytest.mark.parametrize("word", ["sing", "FILE.py", "stepp"])
def test_an_unknown_word_is_one_sentence_that_names_the_known_ones(word):
    done = run(word)
    assert done.returncode == 2
    assert done.stderr == (
        f"verify: unknown command {word!r}; choose from step, steps, diff, campaign, rules\n"
    )
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("argv", "chosen_one"),
    [
        ([], (DEFAULT, [])),
        (["--model", "tiny"], (DEFAULT, ["--model", "tiny"])),
        (["diff", "a", "b"], ("verify.diff", ["a", "b"])),
        (["step", "7", "--explain"], ("verify.steps.single", ["7", "--explain"])),
    ],
)
def test_a_command_line_is_given_to_its_module(argv, chosen_one):
    assert chosen(argv) == chosen_one
