"""The loop in a terminal: keys, saves, and checks in processes of their own."""

import io
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
from rich.console import Console

from tests.processes import gone
from tests.verify.learn.learners import solve
from verify.learn.keyboard import Key, Saved
from verify.learn.learner_folder import LearnerFolder
from verify.learn.learning_session import Session
from verify.learn.terminal import Terminal
from verify.steps.lessons import lesson

ROOT = Path(__file__).parents[3]


class Learner(SimpleQueue):
    """What a learner does, as events: a key, or a file that is saved; checks end as they do.

    Each entry of the script is a key, or a function that is called and then counts as a save;
    after each the page is kept.
    """

    def __new__(cls, *script):
        return super().__new__(cls)

    def __init__(self, *script):
        self.script, self.pages = list(script), []
        self.page = io.StringIO()

    def get(self, block=True, timeout=None):
        if self.desk.running is not None:
            return super().get(timeout=120)
        self.pages.append(self.page.getvalue())
        self.page.seek(0)
        self.page.truncate()
        act = self.script.pop(0) if self.script else "q"
        if callable(act):
            act()
            return Saved()
        return Key(act)

    def learn(self, folder, **options):
        """Run the loop until the script is at its end; the page after each entry, the first too."""
        console = Console(file=self.page, width=60)
        self.desk = Terminal(Session(folder, quick=True), console, self, whole=lambda: "PASS",
                             **options)  # fmt: skip
        self.desk.run()
        return self.pages


@pytest.fixture
def folder(tmp_path):
    return LearnerFolder(tmp_path)


def test_a_step_from_its_skeleton_to_the_next_one(folder, tmp_path):
    begun, hinted, explained, passed, after, second = Learner(
        "h", "e", lambda: solve(tmp_path, 1), "e", "n"
    ).learn(folder, fresh=True)  # fmt: skip
    assert "It is checked each time you save it" in " ".join(begun.split())
    assert "Hint 1 of 3" in begun
    assert "Hint 2 of 3" in hinted
    assert lesson(1).explanation.split()[0] in explained
    assert "Step 1 passes" in passed
    assert "What to take along" in passed
    assert "What to take along" in after
    assert "Step 2 of 12: causal mask" in second
    assert folder.state.of(1).hints == {"TODO 1": 2}
    assert max(len(line) for page in (begun, passed) for line in page.splitlines()) <= 60


def test_the_solution_and_a_reset_are_asked_for_twice(folder, tmp_path):
    file = tmp_path / "step_01.py"
    file.write_text("my own work\n")
    _, asked, shown, reset, kept, _ = Learner("s", "s", "r", "x", "r").learn(folder)
    assert "s again shows it now" in " ".join(asked.split())
    assert "class GPT2Config" not in asked
    assert "class GPT2Config" in shown
    assert folder.state.of(1).solution
    assert "r again begins" in " ".join(reset.split())
    assert "'x' means nothing here" in kept
    assert file.read_text() == "my own work\n"
    Learner("r", "r").learn(folder)
    assert file.read_text() == lesson(1).skeleton


def test_a_step_that_does_not_pass_is_not_left(folder):
    _, stays = Learner("n").learn(folder)
    assert "step 1 does not pass yet" in stays
    assert "Step 1 of 12" in stays


def test_a_finished_step_that_breaks_is_named(folder, tmp_path):
    solve(tmp_path, 1)
    folder.state.note(1, passed="2026-11-30", files=folder.standing(1).table)
    file = tmp_path / "step_01.py"
    pages = Learner(lambda: file.write_text("GPT2Config = 1 / 0\n"), "l").learn(folder)
    assert "Step 2 of 12" in pages[0]
    assert "Step 1 had passed, and does not any more" in pages[1]
    assert "changed" in pages[2]


def test_a_state_that_is_spoilt_meanwhile_ends_nothing_and_is_not_written_over(folder):
    state = folder.state.path

    def spoil():
        state.write_text("[step.1\n")

    def mend():
        assert state.read_text() == "[step.1\n"
        state.write_text("")

    _, spoilt, hinted, mended = Learner(spoil, "h", mend).learn(folder)
    assert "is not TOML" in spoilt
    assert "nothing is lost" in " ".join(hinted.split())
    assert "Step 1 of 12" in mended


class Window:
    """A pseudo-terminal in which `python -m verify learn` runs."""

    def __init__(self, folder, *options):
        self.mine, theirs = pty.openpty()
        self.modes = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-m", "verify", "learn", str(folder), *options],
            cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "24", "NO_COLOR": "1"},
        )  # fmt: skip
        self.said = ""

    def wait_for(self, text, seconds=120):
        """Everything since the last wait, once a text is in it."""
        end = time.monotonic() + seconds
        os.set_blocking(self.mine, False)
        while text not in self.said:
            assert time.monotonic() < end, self.said
            try:
                read = os.read(self.mine, 1 << 16).decode(errors="replace")
                self.said += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read)
            except BlockingIOError:
                time.sleep(0.05)
        said, self.said = self.said, ""
        return said

    def press(self, keys):
        os.write(self.mine, keys.encode())


def test_a_real_terminal_from_an_empty_folder(tmp_path):
    folder = tmp_path / "mine"
    window = Window(folder)
    try:
        window.wait_for("Step 1 does not pass yet")
        window.press("\x1b[A?")  # an arrow means nothing
        assert "begin this step's file again" in " ".join(window.wait_for("help").split())
        solve(folder, 1)
        window.wait_for("Step 1 is done")
        window.press("n")
        assert "causal mask" in window.wait_for("Step 2 does not pass yet")
        assert (folder / "step_02.py").read_text() == lesson(2).skeleton
        window.press("q")
        window.wait_for("goes on from here")
        assert window.process.wait(60) == 0
        assert termios.tcgetattr(window.theirs) == window.modes
    finally:
        window.process.kill()
        window.process.wait()
    assert gone([window.process.pid])
