"""The five phases in which a step's file is checked; the first that fails ends the check."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError
from verify.steps.component import StepError, check_numbers, check_shapes
from verify.steps.course import PHASES
from verify.steps.importable import importable, where_it_lies
from verify.steps.lessons import lesson
from verify.steps.open_tasks import first_open, left_out, task_at
from verify.steps.own_checks import OWN_CHECKS
from verify.steps.taken import taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from verify.steps.course import Step
    from verify.steps.lessons import Lesson, Task
    from verify.steps.open_tasks import Open


@dataclass(frozen=True, slots=True)
class Phase:
    """The outcome of one phase.

    Attributes:
        title: one of `PHASES`.
        passed: whether it did.
        problem: why not, in a sentence.
        hint: where to look; never the solution.
        notes: frames of the file's own traceback.
        said: what a learner should know of a phase that passed; "" for nothing.
        hints: the hint, then further ones, each of which says more.
        task: number of the file's TODO that it is about; None where that cannot be said.
    """

    title: str
    passed: bool
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    said: str = ""
    hints: tuple[str, ...] = ()
    task: int | None = None


def check_step(step: Step, file: Path, *, quick: bool = False) -> Iterator[Phase]:
    """Check a file, phase by phase, up to the first that fails.

    Args:
        step: what the file should hold.
        file: the learner's.
        quick: compile nothing.
    """
    found: dict[str, Any] = {}
    works: tuple[Callable[[], str | None], ...] = (
        lambda: _imported(step, file),
        lambda: _structure(step, file, found),
        lambda: _check_implemented(step, file, found["taken"].name),
        lambda: found.update(component=_shapes(step, found["taken"].factory)),
        lambda: _numbers(step, found["taken"].factory, found["component"], quick=quick),
    )
    for title, work in zip(PHASES, works, strict=True):
        try:
            said = work()
        except (StepError, CandidateError) as error:
            yield _failed(step, file, title, error)
            return
        yield Phase(title, True, said=said or "")


def _failed(step: Step, file: Path, title: str, error: StepError | CandidateError) -> Phase:
    """A phase that failed, with the task that it is about and its hints."""
    ran = title in PHASES[3:]  # before, it may not even be text
    text, known = file.read_text(encoding="utf-8") if ran else "", lesson(step.number)
    if ran and (task := left_out(known, text)):
        problem = f"{_of_task(task)} is not done: {error}"
        return Phase(
            title, False, problem, task.hints[0], _notes(error), "", task.hints, task.number
        )
    if isinstance(error, StepError):
        task, hints = error.task, error.hints
    else:
        task = _raised_in(known, file, text, error) if ran else None
        hints = task.hints if task else (_hint_of(title),)
    number = task.number if task else None
    return Phase(title, False, str(error), hints[0], _notes(error), "", hints, number)


def _notes(error: StepError | CandidateError) -> tuple[str, ...]:
    """Frames of the learner's own traceback."""
    return error.notes if isinstance(error, StepError) else tuple(getattr(error, "__notes__", ()))


def _raised_in(known: Lesson, file: Path, text: str, error: CandidateError) -> Task | None:
    """The task of the line of a learner's file that raised."""
    if error.place is None or Path(error.place[0]).resolve() != file.resolve():
        return None
    return task_at(known, text, error.place[1])


def _of_task(task: Task) -> str:
    return f"TODO {task.number} ({task.title})"


def _hint_of(title: str) -> str:
    hints = {
        PHASES[0]: "run the file with python alone: it must end without an error",
        PHASES[3]: "print the shapes on the way; --explain shows which are expected",
    }
    return hints.get(title, "--explain shows what is expected")


def _imported(step: Step, file: Path) -> None:
    """Import the file; whether it has the step's class, the next phase says."""
    try:
        with importable(file):
            load_factory(f"{file}:{step.name}")
    except CandidateError as error:
        if f"has no {step.name}" in str(error):
            return
        missing = re.search(r"No module named '([\w.]+)'", str(error))
        if missing and (there := where_it_lies(missing[1], file)):
            hint = f"there is a {there} beside its folder: files of one folder import each other"
            raise StepError(str(error), hint, _notes(error)) from None
        if missing and (known := re.fullmatch(r"step_(\d\d)", missing[1])):
            begin = f"python -m verify step {int(known[1])} --scaffold {missing[1]}.py"
            hint = f"your file of step {int(known[1])} belongs beside it: {as_called(begin)}"
            raise StepError(str(error), hint, _notes(error)) from None
        raise


def _structure(step: Step, file: Path, found: dict[str, Any]) -> str:
    """The file has what the step asks for, under its own name or another; a class has a base."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    node = _definition(tree, step.name)
    if isinstance(node, ast.ClassDef) and step.number not in {1, 13} and not node.bases:
        raise StepError(
            f"{step.name} is a class without a base",
            "modules of MAX are classes derived from max.experimental.nn.Module",
        )
    found["taken"] = taken(step, file)
    return str(found["taken"].said)


def _definition(tree: ast.Module, name: str) -> ast.stmt | None:
    return next((node for node in tree.body if getattr(node, "name", None) == name), None)


def _check_implemented(step: Step, file: Path, own: str) -> None:
    """No task is open, and nothing else: `...`, TODO, NotImplementedError, an empty body."""
    text = file.read_text(encoding="utf-8")
    found = first_open(lesson(step.number), text, own)
    if found and found.task:
        _refuse_open(found, found.task)
    if node := _definition(ast.parse(text), own):  # else it is imported from elsewhere
        _refuse_placeholders(step, text, node, own)
    if found:
        raise StepError(f"in line {found.line} stands ... alone", "what belongs there?")


def _refuse_placeholders(step: Step, text: str, node: ast.stmt, own: str) -> None:
    """Say where a file of another origin than a skeleton is not implemented."""
    for part in ast.walk(node):
        name = getattr(part, "name", own)
        if isinstance(part, ast.FunctionDef | ast.ClassDef) and _is_empty(part):
            raise StepError(
                f"{name} in line {part.lineno} has no body yet",
                "the skeleton's comments say what belongs there",
            )
        if isinstance(part, ast.Raise) and "NotImplementedError" in ast.dump(part):
            raise StepError(
                f"line {part.lineno} still raises NotImplementedError",
                f"what is asked: {step.formula}",
            )
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    for number, line in enumerate(lines, node.lineno):
        if "TODO" in line:
            raise StepError(f"a TODO is left in line {number}", "do it, or remove the comment")


def _refuse_open(found: Open, task: Task) -> None:
    """Say which task is open, and what to do."""
    done = f"if it is done, take TODO {task.number} out of the comment"
    raise StepError(
        f"{_of_task(task)} is open: {'its comment' if found.is_mark else '...'} stands in line "
        f"{found.line}",
        done if found.is_mark else task.hints[0],
        hints=(done, *task.hints) if found.is_mark else task.hints,
        task=task,
    )


def _is_empty(part: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a body is `pass`, `...` or a docstring alone."""
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in part.body
    )


def _shapes(step: Step, factory: Any) -> Any:
    if step.number in OWN_CHECKS:
        return None
    return check_shapes(step, factory)


def _numbers(step: Step, factory: Any, component: Any, *, quick: bool) -> None:
    if step.number in OWN_CHECKS:
        OWN_CHECKS[step.number](factory, quick=quick)
    else:
        check_numbers(step, component, quick=quick)
