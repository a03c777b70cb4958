"""`python -m verify` before anything is verified."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments, path=""):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-m", "verify", *arguments], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["step", "12", __file__]])
def test_a_max_with_another_interface_is_told_in_a_sentence(arguments, tmp_path):
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
