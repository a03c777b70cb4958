"""The command runs our code wherever it is called, and is the tool: its signals, its exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from reports.commands import TERMINATED
from tests.processes import wait_until

ROOT = Path(__file__).parents[3]
SOURCE = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from verify.api.launcher import main; main()"
COMMAND = [sys.executable, "-P", "-c", SOURCE]


def run(folder, *words, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env={**environment, **variables}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("named", ["in the folder", "on the path"])
@pytest.mark.parametrize("words", [["verify", "step", "7", "--explain"], ["bench", "--help"],
                                   ["reports", "table", "--help"], ["verify", "places"],
                                   ["reference", "--help"], ["impl", "--help"]])  # fmt: skip
def test_packages_of_the_users_that_bear_our_names_change_nothing(folder, tmp_path, named, words):
    if named == "in the folder":
        done = run(folder, *words)
    else:
        done = run(tmp_path, *words, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_commands_are_named_as_they_are_called(tmp_path):
    done = run(tmp_path, "verify", "diff", "--help")
    assert done.stdout.startswith("usage: max-parity verify diff ")
    assert "python -m" not in run(tmp_path, "verify", "--help").stdout
    assert "python -m" not in run(tmp_path, "bench", "--help").stdout


def test_without_a_command_all_are_listed(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: max-parity COMMAND")
    assert run(tmp_path, "--help").stdout == done.stdout


def test_the_version_is_that_of_the_project(tmp_path):
    text = (ROOT / "pyproject.toml").read_text()
    version = next(line for line in text.splitlines() if line.startswith("version")).split('"')[1]
    assert run(tmp_path, "--version").stdout.startswith(f"max-parity {version}, ")


def test_an_unknown_command_is_one_sentence(tmp_path):
    done = run(tmp_path, "sing")
    assert done.returncode == 2
    assert done.stderr == (
        "max-parity: unknown command 'sing'; choose from verify, bench, reports, impl, reference\n"
    )


def test_the_exit_code_is_the_tools_own(tmp_path):
    assert run(tmp_path, "reports", "table", "nowhere").returncode == 2


def test_the_process_becomes_the_tool_so_that_a_signal_is_the_tools(folder, tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "verify", "--quick"], cwd=folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "MAX_PARITY_RUNS": str(tmp_path)},
    )  # fmt: skip
    try:
        of = psutil.Process(process.pid)
        assert wait_until(lambda: of.cmdline()[1:4] == ["-P", "-m", "verify"])
        assert wait_until(lambda: any(tmp_path.glob("runs/*/records.jsonl")))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == TERMINATED
    assert "ended by SIGTERM" in said
