"""A candidate is judged again whenever it is saved."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import wait_until

MODELS = Path(__file__).parents[1] / "models"
ROOT = Path(__file__).parents[3]


class Session:
    """`python -m verify` in a process, and what it says line by line."""

    def __init__(self, folder, *arguments):
        self.log = folder / "said.txt"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "verify", *arguments],
                cwd=ROOT,
                env=os.environ,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text, count=1, seconds=300):
        """What was said, as soon as a text occurs so often in it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = self.log.read_text()
            if said.count(text) >= count:
                return said
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        pytest.fail(f"{text!r} was not said; said was: {self.log.read_text()}")

    def interrupt(self):
        """Ctrl-C, as a terminal sends it; the exit code, once nothing is left of it."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(120)


@pytest.fixture
def session(tmp_path):
    started = []

    def start(*arguments):
        started.append(Session(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def test_each_save_is_judged_and_what_has_changed_is_named(session, tmp_path):
    file = tmp_path / "my_model.py"
    shutil.copy(MODELS / "own_names.py", file)
    right = file.read_text()
    watch = session("--watch", "--candidate", f"{file}:MyGPT", "--regimes", "given")
    assert "PASS in" in watch.wait_for("watching my_model.py")
    file.write_text(right.replace('approximate="tanh"', 'approximate="none"'))
    said = watch.wait_for("watching", 2)
    assert "FAIL in" in said
    assert "[gelu_erf]" in said
    assert "wrong since the last save: h.0.mlp.c_proj" in said
    assert "mlp.c_proj ←   >FAIL  FAIL  FAIL" in said  # the map, where other places are wrong
    file.write_text(right.replace("self.up(x)", "self.up(x).nothing"))
    said = watch.wait_for("watching", 3)
    assert "AttributeError" in said
    assert "ERROR in" in said
    file.write_text(right)
    assert "PASS in" in watch.wait_for("watching", 4).rpartition("ERROR")[2]
    assert watch.interrupt() == 130
    assert "Traceback" not in watch.log.read_text()


def test_a_save_while_a_look_goes_on_is_not_missed(session, tmp_path):
    file, read = tmp_path / "step_02.py", tmp_path / "read"
    unfinished = "def causal_mask(length, dtype, device):\n    pass\n"
    file.write_text(unfinished)
    watch = session("step", "2", str(file), "--watch")
    watch.wait_for("watching step_02.py")
    file.write_text(f"open({str(read)!r}, 'w').close()\nfrom impl.model import causal_mask\n")
    assert wait_until(read.exists)
    file.write_text(unfinished)
    said = watch.wait_for("watching", 3)
    assert "has no body yet" in said.rpartition("Verdict: PASS")[2]
    assert watch.interrupt() == 130


def test_a_module_beside_the_file_is_watched_too(session, tmp_path):
    right = (MODELS / "own_names.py").read_text()
    (tmp_path / "layers.py").write_text(right)
    (tmp_path / "my_model.py").write_text("from layers import MyGPT\n")
    watch = session(
        "--watch", "--candidate", f"{tmp_path / 'my_model.py'}:MyGPT", "--regimes", "given"
    )
    watch.wait_for("watching layers.py, my_model.py")
    (tmp_path / "layers.py").write_text(right.replace('"tanh"', '"none"'))
    assert "[gelu_erf]" in watch.wait_for("watching", 2)
    assert watch.interrupt() == 130


def test_a_step_is_checked_again_when_its_file_is_saved(session, tmp_path):
    file = tmp_path / "step_02.py"
    file.write_text("def causal_mask(length, dtype, device):\n    pass\n")
    watch = session("step", "2", str(file), "--watch")
    assert "has no body yet" in watch.wait_for("watching step_02.py")
    file.write_text("from impl.model import causal_mask\n")
    assert "Verdict: PASS, not compiled" in watch.wait_for("watching", 2)
    assert watch.interrupt() == 130


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--watch"], "--watch needs --candidate FILE.py:NAME"),
        (["--watch", "--candidate", "no_colon.py"], "--watch needs --candidate FILE.py:NAME"),
        (["--watch", "--candidate", "a.py:b", "--dtype", "float16"], "a GPT-2 in float32"),
        (["step", "2", "nowhere.py", "--watch"], "there is no file nowhere.py"),
    ],
)
def test_what_cannot_be_watched_is_one_sentence(arguments, sentence, session):
    watch = session(*arguments)
    assert watch.process.wait(300) == 2
    (line,) = watch.log.read_text().splitlines()
    assert sentence in line
