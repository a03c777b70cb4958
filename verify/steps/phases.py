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
    from verify.steps.lessons import Task
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
    problem, notes = str(error), tuple(getattr(error, "__notes__", ()))
    hints: tuple[str, ...] = (_hint_of(title),)
    task = None
    if isinstance(error, StepError):
        notes, task = error.notes, error.task
        hints = error.hints
    if title in PHASES[3:]:
        text, known = file.read_text(encoding="utf-8"), lesson(step.number)
        if task := left_out(known, text):
            problem = f"{_of_task(task)} is not done: {problem}"
            hints = task.hints
        elif isinstance(error, CandidateError) and error.place:
            name, line = error.place
            if Path(name).resolve() == file.resolve() and (task := task_at(known, text, line)):
                hints = task.hints
    number = task.number if task else None
    return Phase(title, False, problem, hints[0], notes, hints=hints, task=number)


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
            raise StepError(str(error), hint, tuple(getattr(error, "__notes__", ()))) from None
        if missing and (known := re.fullmatch(r"step_(\d\d)", missing[1])):
            begin = f"python -m verify step {int(known[1])} --scaffold {missing[1]}.py"
            hint = f"your file of step {int(known[1])} belongs beside it: {as_called(begin)}"
            raise StepError(str(error), hint, tuple(getattr(error, "__notes__", ()))) from None
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
    if found := first_open(lesson(step.number), text, own):
        _refuse_open(found)
    node = _definition(ast.parse(text), own)
    if node is None:
        return  # imported from elsewhere
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


def _refuse_open(found: Open) -> None:
    """Say what is to be done where a file is open."""
    task = found.task
    if task is None:
        raise StepError(f"line {found.line} says ... and no more", "what belongs there?")
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
