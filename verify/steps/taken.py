"""Which class or function of a learner's file is the step's, where none has the step's name.

It is found by what it is: of a step that is a module, the one MAX module of the file that can be
called as the step says, returns the shape and holds the parameters.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any

from max.experimental.nn import Module

from reports.commands import as_called
from verify.candidate.guard import CandidateError
from verify.steps.component import StepError, check_shapes, is_whole
from verify.steps.course import STEPS
from verify.steps.definitions import defined_in
from verify.steps.own_checks import OWN_CHECKS
from verify.steps.plain import FIELDS

if TYPE_CHECKING:
    from pathlib import Path

    from verify.steps.course import Step


@dataclass(frozen=True, slots=True)
class Taken:
    """What is checked as a step.

    Attributes:
        name: in the learner's file.
        factory: the class or function itself.
        said: why it is taken, where its name does not tell; else "".
    """

    name: str
    factory: Any
    said: str = ""


def taken(step: Step, file: Path) -> Taken:
    """The class or function of a file that has been imported.

    Args:
        step: what it should be.
        file: the learner's.

    Raises:
        StepError: where none, or several, can be the step's.
    """
    module = sys.modules[f"candidate_{file.stem}"]
    if hasattr(module, step.name):
        return Taken(step.name, getattr(module, step.name))
    own = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and _may_be(step, value)
    }
    return _only(step, file, own)


def _may_be(step: Step, value: Any) -> bool:
    """Whether something may be the step's, by its kind alone."""
    if step.number == 1:
        return inspect.isclass(value) and all(_has(value, name) for name in FIELDS)
    if step.number == 13:
        return inspect.isclass(value) and issubclass(value, HTTPServer)
    if step.name.islower():
        return inspect.isfunction(value) and not value.__name__.startswith("_")
    return inspect.isclass(value) and issubclass(value, Module)


def _has(kind: type, name: str) -> bool:
    return hasattr(kind, name) or name in inspect.signature(kind).parameters


def _only(step: Step, file: Path, own: dict[str, Any]) -> Taken:
    if len(own) == 1:
        ((name, value),) = own.items()
        return Taken(name, value, f"{name} is taken for {step.name}: the file defines no other")
    fitting = [name for name, value in own.items() if _fits(step, value)]
    if len(fitting) == 1:
        others = " and ".join(name for name in own if name not in fitting)
        said = f"{fitting[0]} is taken for {step.name}: it fits, and {others} not"
        return Taken(fitting[0], own[fitting[0]], said)
    text = f"{file.name} defines no {step.name}"
    if fitting:
        text += f", and several fit: {', '.join(fitting)}"
    elif own:
        text += f", and what it defines does not fit: {', '.join(own)}"
    raise StepError(text, _hint(step, file))


def _fits(step: Step, value: Any) -> bool:
    """Whether a module can be called as the step says, and has its shape and its parameters."""
    if step.number in OWN_CHECKS:
        return False
    try:
        return is_whole(check_shapes(step, value))
    except (StepError, CandidateError):
        return False


def _hint(step: Step, file: Path) -> str:
    """What the file has: the step's name in other letters, or another step's class."""
    names = defined_in(file)
    if near := [name for name in names if name.lower() == step.name.lower()]:
        return f"is it called {near[0]}?"
    for other in STEPS:
        if known := [name for name in names if name in other.names]:
            command = as_called(f"python -m verify step {other.number} {file.name}")
            return f"{known[0]} is step {other.number} here: {command}"
    return f"it is called as {step.signature}"
