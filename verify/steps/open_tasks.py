"""Which of a lesson's tasks a learner's file leaves open, read without running it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.steps.lessons.parsed import places_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.steps.lessons import Lesson, Task
    from verify.steps.lessons.parsed import Place

_TODO = re.compile(r"#\s*TODO (\d+)\b")


@dataclass(frozen=True, slots=True)
class Open:
    """A line of a learner's file where something is still to be done.

    Attributes:
        line: its number, from 1.
        task: that it belongs to; None where that cannot be said.
        is_mark: whether it is the comment of a task, and not the `...` in its place.
    """

    line: int
    task: Task | None = None
    is_mark: bool = False


def first_open(lesson: Lesson, text: str, own: str) -> Open | None:
    """The first task that is open: `...` stands in its place, or its TODO is still there.

    Args:
        lesson: of the step.
        text: of the learner's file.
        own: name of the step's class or function in it.
    """
    names = {own, *(place.scope.partition(".")[0] for t in lesson.tasks for place in t.places)}
    marks = list(_marks(lesson, text, names))
    places = [place for place in places_of(text) if place.scope.partition(".")[0] in names]
    found = [*(_placeholder(lesson, place, places, marks) for place in places if place.is_open)]
    found += marks
    last = len(lesson.tasks) + 1
    return min(
        found, default=None, key=lambda o: (o.task.number if o.task else last, o.is_mark, o.line)
    )


def _marks(lesson: Lesson, text: str, names: set[str]) -> Iterator[Open]:
    """Comments with a TODO's number in definitions of these names."""
    tasks = {str(task.number): task for task in lesson.tasks}
    lines = text.splitlines()
    body = ast.parse(text).body
    ends = [*(node.lineno for node in body[1:]), len(lines) + 1]  # a comment may be last
    for node, end in zip(body, ends, strict=True):
        if getattr(node, "name", None) in names:
            for number in range(node.lineno, end):
                if found := _TODO.search(lines[number - 1]):
                    yield Open(number, tasks.get(found[1]), is_mark=True)


def _placeholder(lesson: Lesson, place: Place, places: list[Place], marks: list[Open]) -> Open:
    """What is open at `...`: of several tasks that have the same there, the one marked above.

    Where none is marked it is the first that is not done by what else there is.
    """
    tasks = [t for t in lesson.tasks if place.opened in {known.opened for known in t.places}]
    above = [mark.task for mark in marks if mark.line < place.line and mark.task in tasks]
    if above:
        return Open(place.line, above[-1])
    done = Counter(other for other in places if not other.is_open)
    for task in lesson.tasks:
        if (needed := Counter(task.places)) <= done:
            done -= needed
        elif task in tasks:
            return Open(place.line, task)
    return Open(place.line, next(iter(tasks), None))


def left_out(lesson: Lesson, text: str) -> Task | None:
    """The task without which a file is the solution, statement for statement.

    Statements are compared by what they set, not by what they compute.

    Args:
        lesson: of the step.
        text: of the learner's file, in which something is wrong.
    """
    wanted, found = Counter(places_of(lesson.solution)), Counter(places_of(text))
    missing = wanted - found
    if found - wanted:
        return None
    return next((task for task in lesson.tasks if missing == Counter(task.places)), None)


def task_at(lesson: Lesson, text: str, line: int) -> Task | None:
    """The task that a line of a learner's file belongs to, where that is one alone.

    Args:
        lesson: of the step.
        text: of the learner's file.
        line: of it, from 1.
    """
    around = {place for place in places_of(text) if place.line <= line <= place.end}
    found = [task for task in lesson.tasks if around.intersection(task.places)]
    return found[0] if len(found) == 1 else None
