"""`python -m verify` before anything is verified."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.processes import ROOT, family, gone, started, wait_until
from verify.options import COMMANDS, DEFAULT, chosen

SMALL = "--model", "random:tiny", "--device", "cpu", "--lengths", "9", "--batch", "1"
OWN = "--candidate", "tests/verify/models/own_names.py:MyGPT"


def run(*arguments, path=""):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-m", "verify", *arguments], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False, timeout=300,
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
    for word in COMMANDS:
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
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m {module.replace('.', ' ')} ")


@pytest.mark.parametrize("word", ["sing", "FILE.py", "stepp"])
def test_an_unknown_word_is_one_sentence_that_names_the_known_ones(word):
    done = run(word)
    assert done.returncode == 2
    assert done.stderr == (
        f"verify: unknown command {word!r}; "
        "choose from learn, step, steps, training, package, zoo, endpoint, places, diff, reduce, "
        "replay, campaign, rules, wrong\n"
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


def is_a_candidates(pid):
    """Whether a process is the candidate's."""
    try:
        return any("candidate_process" in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


@pytest.mark.compiles
@pytest.mark.parametrize("options", [(), OWN], ids=["in its process", "in a child"])
def test_sigterm_is_heard_while_max_compiles_and_leaves_a_page(tmp_path, options):
    out = tmp_path / "run"
    cold = str(tmp_path / "cache")
    with started("verify", *SMALL, *options, "--out", out, MODULAR_DERIVED_PATH=cold) as verify:
        assert "compiling" in verify.stderr.readline()
        assert wait_until(lambda: any((tmp_path / "cache").rglob("*")))
        children = family(verify)
        verify.terminate()
        _, errors = verify.communicate(timeout=300)
    assert verify.returncode == 143
    assert errors.splitlines()[-1] == (
        f"verify: ended by SIGTERM; the finished checks are in {out}, with a page of them"
    )
    assert (out / "report.html").is_file()
    assert gone(children)


def test_a_child_ends_with_a_harness_that_is_killed(tmp_path):
    (tmp_path / "slow.py").write_text("import time\n\ndef model(config):\n    time.sleep(600)\n")
    slow = f"{tmp_path}/slow.py:model"
    with started("verify", *SMALL, "--candidate", slow, "--out", tmp_path / "run") as verify:
        assert wait_until(lambda: any(map(is_a_candidates, family(verify))))
        children = family(verify)
        verify.kill()
        verify.wait()
        assert children
        assert gone(children)


def test_sigterm_before_the_first_check_is_one_sentence():
    with started("verify", *SMALL) as verify:
        assert wait_until(lambda: signals_are_handled(verify))
        verify.terminate()
        _, errors = verify.communicate(timeout=300)
    assert verify.returncode == 143
    assert errors == "verify: ended by SIGTERM before anything was checked\n"


def signals_are_handled(process):
    """Whether the process catches SIGTERM by now: bit 14 of what it catches."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> 14 & 1)
