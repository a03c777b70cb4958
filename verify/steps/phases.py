"""The five phases in which a step's file is checked; the first that fails ends the check."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError
from verify.steps.component import StepError, check_numbers, check_shapes
from verify.steps.course import PHASES
from verify.steps.plain import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from verify.steps.course import Step


@dataclass(frozen=True, slots=True)
class Phase:
    """The outcome of one phase.

    Attributes:
        title: one of `PHASES`.
        passed: whether it did.
        problem: why not, in a sentence.
        hint: where to look; never the solution.
        notes: frames of the file's own traceback.
    """

    title: str
    passed: bool
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()


def check_step(step: Step, file: Path, *, quick: bool = False) -> Iterator[Phase]:
    """Check a file, phase by phase, up to the first that fails.

    Args:
        step: what the file should hold.
        file: the learner's.
        quick: compile nothing.
    """
    found: dict[str, Any] = {}
    works: tuple[Callable[[], None], ...] = (
        lambda: found.update(factory=_imported(step, file)),
        lambda: _check_structure(step, file),
        lambda: _check_implemented(step, file),
        lambda: found.update(component=_shapes(step, found["factory"])),
        lambda: _numbers(step, found["factory"], found["component"], quick=quick),
    )
    for title, work in zip(PHASES, works, strict=True):
        try:
            work()
        except StepError as failure:
            yield Phase(title, False, str(failure), failure.hint, failure.notes)
            return
        except CandidateError as error:
            notes = tuple(getattr(error, "__notes__", ()))
            yield Phase(title, False, str(error), _hint_of(title), notes)
            return
        yield Phase(title, True)


def _hint_of(title: str) -> str:
    hints = {
        PHASES[0]: "run the file with python alone: it must end without an error",
        PHASES[3]: "print the shapes on the way; --explain tells which ones are expected",
    }
    return hints.get(title, "--explain tells what is expected")


def _imported(step: Step, file: Path) -> Any:
    try:
        return load_factory(f"{file}:{step.name}")
    except CandidateError as error:
        if f"has no {step.name}" in str(error):
            return None  # the next phase says so
        raise


def _check_structure(step: Step, file: Path) -> None:
    """The file defines the name, or imports it; a class has the methods that it needs."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {name for node in tree.body for name in _defined(node)}
    if step.name not in names:
        near = sorted(n for n in names if n.lower() == step.name.lower())
        raise StepError(
            f"{file.name} defines no {step.name}",
            f"is it called {near[0]}?" if near else f"it is called as {step.signature}",
        )
    node = _definition(tree, step.name)
    if isinstance(node, ast.ClassDef) and step.number != 1 and not node.bases:
        raise StepError(
            f"{step.name} is a class without a base",
            "modules of MAX are classes derived from max.experimental.nn.Module",
        )


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _definition(tree: ast.Module, name: str) -> ast.stmt | None:
    return next((node for node in tree.body if getattr(node, "name", None) == name), None)


def _check_implemented(step: Step, file: Path) -> None:
    """No placeholder is left in the definition: TODO, NotImplementedError, an empty body."""
    text = file.read_text(encoding="utf-8")
    node = _definition(ast.parse(text), step.name)
    if node is None:
        return  # imported from elsewhere
    for part in ast.walk(node):
        name = getattr(part, "name", step.name)
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


def _is_empty(part: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a body is `pass`, `...` or a docstring alone."""
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in part.body
    )


def _shapes(step: Step, factory: Any) -> Any:
    if step.number in PLAIN:
        return None
    return check_shapes(step, factory)


def _numbers(step: Step, factory: Any, component: Any, *, quick: bool) -> None:
    if step.number in PLAIN:
        PLAIN[step.number](factory, quick=quick)
    else:
        check_numbers(step, component, quick=quick)
