"""What `check` says of an attempt, and what it leaves to a solution."""

import pytest

from verify.steps.book.shared import exercises


@pytest.fixture(autouse=True)
def _first_of_its_chapter(monkeypatch):
    monkeypatch.setattr(exercises, "EXERCISES", {})


def doubles(attempt):
    @exercises.check(attempt)
    def doubling(answer):
        assert answer(2) == 4, "twice two is four"
        assert answer([1]) == [1, 1]

    return doubling


def test_an_attempt_that_is_right_is_told_so(capsys):
    doubles(lambda x: 2 * x)
    assert capsys.readouterr().out == "Exercise 1: right\n"


@pytest.mark.parametrize(
    ("attempt", "why"),
    [
        (lambda _: None, "there is no answer yet"),
        (..., "there is no answer yet"),
        (lambda x: x, "twice two is four"),
        (lambda x: x * x, "TypeError: can't multiply sequence by non-int of type 'list'"),
    ],
)
def test_an_attempt_that_is_wrong_is_told_why_and_raises_nothing(attempt, why, capsys):
    doubles(attempt)
    assert capsys.readouterr().out == f"Exercise 1: not solved yet ({why})\n"


def test_a_wrong_answer_raises_in_the_check_that_is_returned():
    checking = doubles(...)
    with pytest.raises(AssertionError, match="twice two is four"):
        checking(lambda x: x)
    assert exercises.EXERCISES["doubling"].solved == 0
    checking(lambda x: 2 * x)
    assert exercises.EXERCISES["doubling"].solved == 1


def test_a_cell_that_is_run_again_keeps_its_number(capsys):
    doubles(...)
    doubles(lambda x: 2 * x)
    assert capsys.readouterr().out.splitlines()[-1] == "Exercise 1: right"
    assert exercises.EXERCISES["doubling"].why is None
