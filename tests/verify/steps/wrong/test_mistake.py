"""A wrong solution is the lesson's own, with pieces changed that are there once."""

import pytest

from verify.steps.lessons import lesson
from verify.steps.wrong.mistake import EditError, edited, of_step, seen


def test_a_mistake_changes_the_lessons_solution():
    (mistake,) = of_step(4, seen("erf", "", "", ('approximate="tanh"', 'approximate="none"')))
    assert mistake.step == 4
    assert mistake.text == lesson(4).solution.replace('"tanh"', '"none"')


@pytest.mark.parametrize(("old", "times"), [("nowhere", 0), ("self", 9)])
def test_a_piece_that_is_not_there_once_is_refused(old, times):
    text = "self " * times
    with pytest.raises(EditError, match=f"step 4, x: '{old}' is there {times} times, not once"):
        edited(text, [(old, "")], "step 4, x")
