"""What is shown while something long goes on."""

import io
import re
import time

import pytest
from rich.console import Console
from rich.progress import Progress

from reports import waiting
from reports.waiting import Waiting, about
from tests.processes import wait_until


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"), (3.4, "3 s"), (12, "10 s"), (48, "50 s"), (100, "1 min 30 s"),
        (119, "2 min"), (400, "6 min 30 s"),
    ],
)  # fmt: skip
def test_durations_are_round_numbers(seconds, text):
    assert about(seconds) == text


def test_without_a_terminal_a_line_is_printed_at_the_start_and_then_now_and_again(monkeypatch):
    monkeypatch.setattr(waiting, "EVERY_S", 0.05)
    said = []
    waits = Waiting(said.append, total=2)
    with waits.part("compiling the model", 50, "as before"):
        assert wait_until(lambda: len(said) > 1)
    with waits.part("compiling the engine", 3):
        pass
    assert said[0] == "compiling the model (1 of 2): about 50 s, as before"
    assert re.fullmatch(r"compiling the model \(1 of 2\): \d+ s so far, of about 50 s", said[1])
    assert said[-1] == "compiling the engine (2 of 2): about 3 s"
    before = len(said)
    time.sleep(0.15)
    assert len(said) == before


def test_in_a_terminal_a_bar_fills_and_goes_away():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with Progress(console=console, refresh_per_second=50) as progress:
        with Waiting(pytest.fail, progress).part("compiling the model", 0.1):
            (task,) = progress.tasks
            assert wait_until(lambda: task.percentage > 50)
            assert task.percentage < 100
        assert not progress.tasks
    assert "compiling the model, about 1 s" in screen.getvalue()


def test_an_error_ends_the_display_too():
    said = []
    with pytest.raises(ZeroDivisionError), Waiting(said.append).part("a part", 1):
        raise ZeroDivisionError
    assert said == ["a part: about 1 s"]
