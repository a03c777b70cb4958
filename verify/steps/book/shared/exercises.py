"""An exercise is three cells of code: the reader's attempt, its check, and a solution.

def double(x):
    ...  # your turn

@check(double)
def doubles(answer):
    '''What is asked, for whoever reads the check.'''
    assert answer(2) == 4, "double(2) is 4"

def solution_1(x):
    return 2 * x

doubles(solution_1)
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Checking = Callable[[Any], object]


@dataclass(slots=True, kw_only=True)
class Exercise:
    """What became of one exercise in this process.

    Attributes:
        number: 1, 2, ... within the chapter.
        why: why the reader's attempt is not right, None where it is.
        solved: how many answers the check has passed since, a solution among them.
    """

    number: int
    why: str | None = None
    solved: int = 0


EXERCISES: dict[str, Exercise] = {}
"""By the name of the checking function, in the order of the chapter."""


def check(attempt: Any) -> Callable[[Checking], Checking]:
    """Decorate a checking function, which is run on the reader's attempt at once.

    One line is printed: right, or not solved yet, and why. An attempt never raises here.

    Args:
        attempt: the function, class or value that the reader writes.

    Returns:
        A decorator. It gives the checking function back, which takes an answer, and raises for a
        wrong one: an AssertionError with a sentence of help, or whatever the answer raises.
    """

    def decorate(checking: Checking) -> Checking:
        number = len(EXERCISES) + 1
        exercise = EXERCISES.setdefault(checking.__name__, Exercise(number=number))
        exercise.why = _why_not(checking, attempt)
        said = "right" if exercise.why is None else f"not solved yet ({exercise.why})"
        print(f"Exercise {exercise.number}: {said}")

        @wraps(checking)
        def checked(answer: Any) -> None:
            checking(answer)
            exercise.solved += 1

        return checked

    return decorate


def _why_not(checking: Checking, attempt: Any) -> str | None:
    """Why a check does not pass, in a sentence; None where it does."""
    returned: list[Any] = []

    def watched(*arguments: Any, **named: Any) -> Any:
        returned.append(attempt(*arguments, **named))
        return returned[-1]

    try:
        checking(wraps(attempt)(watched) if inspect.isfunction(attempt) else attempt)
    except Exception as error:
        if attempt is ... or (returned and returned[-1] is None):
            return "there is no answer yet"
        told = (str(error).strip().splitlines() or [""])[0]
        if isinstance(error, AssertionError) and told:
            return told
        return f"{type(error).__name__}: {told}" if told else type(error).__name__
    return None
