"""A lesson, read from its one file: solution, skeleton, tasks with hints, explanation."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from verify.steps.course import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from verify.steps.course import Step

FOLDER = Path(__file__).parent
AFTERWARDS = "\n## Afterwards\n"
NOTES = ("calls", "look", "formula", "thought")
"""What the comments of a task say, in this order."""

_TODO = re.compile(r"\s*# TODO (\d+): (.+)")
_NOTE = re.compile(r"\s*# (\w+): (.+)")
_MORE = re.compile(r"\s*#   (\S.*)")
_DONE = re.compile(r"\s*# done (\d+)")


class LessonError(ValueError):
    """A lesson's file does not follow the form that `verify.steps.lessons` describes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A statement by where it stands and what it sets, not by what it computes.

    Attributes:
        scope: what is around it, `GPT2Attention.forward`, `generate/for`.
        form: `scores = ...`, `return ...`; the kind alone of others, `for`.
        line: the first in its file, not compared, and `end` the last.
        is_open: whether it says `...` and no more, not compared.
    """

    scope: str
    form: str
    line: int = field(compare=False, default=0)
    end: int = field(compare=False, default=0)
    is_open: bool = field(compare=False, default=False)

    @property
    def root(self) -> str:
        """The class or function of the file that it is in."""
        return re.split(r"[./]", self.scope)[0]

    @property
    def opened(self) -> tuple[str, str]:
        """Scope and form in a skeleton, where `...` stands in place of a `for`."""
        return self.scope, self.form if self.form.endswith("...") else "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One numbered TODO of a step's file.

    Attributes:
        number: 1, 2, ... within the step.
        title: what is to be done, in one line.
        calls: the MAX (or Python) calls that it needs, and why.
        hints: what to look at; which formula; which line of thought. Never the code.
        solution: the lines that stand there in the solution.
        opened: the lines that stand there in the skeleton: names and shapes are kept.
        places: its statements, and those inside of them.
    """

    number: int
    title: str
    calls: str
    hints: tuple[str, str, str]
    solution: str
    opened: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """All that a learner gets for one step.

    Attributes:
        step: of the course.
        explanation: Markdown, the concept, before one begins.
        afterwards: Markdown, what to take along after success.
        tasks: what is to be written, in order.
        parts: the file's text, tasks between the lines that stay; internal.
    """

    step: Step
    explanation: str
    afterwards: str
    tasks: tuple[Task, ...]
    parts: tuple[str | Task, ...] = field(repr=False)

    @property
    def solution(self) -> str:
        """The text of a whole file that passes."""
        return self.with_open()

    @property
    def skeleton(self) -> str:
        """The same file with every task open."""
        return self.with_open(*(task.number for task in self.tasks))

    def with_open(self, *numbers: int) -> str:
        """The solution with these tasks open again.

        Args:
            numbers: of the tasks.
        """
        return "".join(
            part if isinstance(part, str) else _task_text(part, opened=part.number in numbers)
            for part in self.parts
        )


@cache
def lesson(number: int) -> Lesson:
    """The lesson of a step.

    Args:
        number: of the step, from 1.

    Raises:
        LessonError: where its file has another form.
    """
    (file,) = FOLDER.glob(f"lesson_{number:02}_*.py")
    return parse(STEPS[number - 1], file.read_text(encoding="utf-8"))


def parse(step: Step, text: str) -> Lesson:
    """Read a lesson's file.

    Args:
        step: that it is of.
        text: of the file.

    Raises:
        LessonError: where the text has another form, with the line.
    """
    tree = ast.parse(text)
    explanation, found, afterwards = (ast.get_docstring(tree) or "").partition(AFTERWARDS)
    if not found:
        raise LessonError(f"the docstring of step {step.number} has no '## Afterwards'")
    lines = text.splitlines(keepends=True)
    start = tree.body[0].end_lineno or 0
    parts = [_head(step), *_parts(lines, start, tree, text)]
    tasks = tuple(part for part in parts if isinstance(part, Task))
    if [task.number for task in tasks] != list(range(1, len(tasks) + 1)) or not tasks:
        raise LessonError(f"the TODOs of step {step.number} are not numbered 1, 2, ...")
    return Lesson(
        step=step,
        explanation=explanation.strip(),
        afterwards=afterwards.strip(),
        tasks=tasks,
        parts=tuple(parts),
    )


def _head(step: Step) -> str:
    """The docstring of the learner's file."""
    return f'"""Step {step.number}: {step.title}.\n\n{step.purpose}\n"""\n'


def _parts(lines: list[str], start: int, tree: ast.Module, text: str) -> Iterator[str | Task]:
    """The lines that stay, and the tasks between them, from a line on."""
    comments, places, place = _comments(text), places_of(text), start
    while place < len(lines):
        if _DONE.match(lines[place]):
            raise LessonError(f"line {place + 1}: nothing is open here")
        if not (begun := _TODO.match(lines[place])):
            yield lines[place]
            place += 1
            continue
        number = int(begun[1])
        notes, first = _notes(lines, place + 1)
        end = next((at for at in range(first, len(lines)) if _DONE.match(lines[at])), None)
        if end is None or lines[end].strip() != f"# done {number}":
            raise LessonError(f"line {place + 1}: TODO {number} has no '# done {number}'")
        statements = list(_within(tree, first + 1, end))
        if not statements:
            raise LessonError(f"line {place + 1}: TODO {number} has no code")
        yield Task(
            number=number,
            title=begun[2],
            calls=notes[0],
            hints=(notes[1], notes[2], notes[3]),
            solution="".join(lines[first:end]),
            opened="".join(_each_once(_opened(one, comments) for one in statements)),
            places=tuple(p for p in places if first < p.line and p.end <= end),
        )
        place = end + 1


def _notes(lines: list[str], place: int) -> tuple[list[str], int]:
    """What the comments below a TODO say, and the line after them."""
    notes: list[str] = []
    for name in NOTES:
        found = _NOTE.match(lines[place])
        if not found or found[1] != name:
            raise LessonError(f"line {place + 1}: '# {name}: ...' belongs here")
        words = [found[2]]
        place += 1
        while more := _MORE.match(lines[place]):
            words.append(more[1])
            place += 1
        notes.append(" ".join(words))
    return notes, place


def _within(tree: ast.AST, first: int, last: int) -> Iterator[ast.stmt]:
    """The statements that lie in these lines, without those inside of them."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.stmt):
            continue
        end = node.end_lineno or node.lineno
        if first <= node.lineno and end <= last:
            yield node
        elif first <= node.lineno <= last:
            raise LessonError(f"line {node.lineno}: the statement goes on below '# done'")
        elif node.lineno < first <= end:
            yield from _within(node, first, last)


def _each_once(lines: Iterable[str]) -> Iterator[str]:
    """Lines, of which `...` alone stands once for several in a row."""
    before = ""
    for line in lines:
        if line != before or line.strip() != "...":
            yield line
        before = line


def places_of(text: str) -> list[Place]:
    """Every statement of a file, in order.

    Args:
        text: of the file, Python.
    """
    return list(_placed(ast.parse(text), ""))


def _placed(node: ast.AST, scope: str) -> Iterator[Place]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.ClassDef | ast.FunctionDef):
            yield from _placed(part, f"{scope}.{part.name}".strip("."))
        elif isinstance(part, ast.stmt):
            is_open, form = False, ast.unparse(_emptied(part))
            match part:
                case ast.Assign() | ast.AnnAssign() | ast.Return() | ast.Expr():
                    is_open = isinstance(part.value, ast.Constant) and part.value.value is ...
            if form == "..." and not is_open:
                form = type(part).__name__.lower()
            yield Place(scope, form, part.lineno, part.end_lineno or part.lineno, is_open)
            yield from _placed(part, f"{scope}/{type(part).__name__.lower()}")


def _opened(statement: ast.stmt, comments: dict[int, str]) -> str:
    """A statement's place in the skeleton: `name = ...`, with the comment that has its shape."""
    indent = " " * statement.col_offset
    text = ast.unparse(_emptied(statement))
    if isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Try):
        return f"{indent}{text}\n"
    lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    comment = next((comments[line] for line in lines if line in comments), "")
    return f"{indent}{text}{f'  {comment}' if comment else ''}\n"


def _emptied(statement: ast.stmt) -> ast.stmt:
    """A statement without what it computes: `name = ...`, `return ...`, or `...` alone."""
    empty = ast.Constant(...)
    match statement:
        case ast.Assign(targets=targets):
            made: ast.stmt = ast.Assign(targets=targets, value=empty)
        case ast.AnnAssign(target=target, annotation=annotation, simple=simple):
            made = ast.AnnAssign(target=target, annotation=annotation, value=empty, simple=simple)
        case ast.Return():
            made = ast.Return(value=empty)
        case _:
            made = ast.Expr(value=empty)
    return ast.fix_missing_locations(made)


def _comments(text: str) -> dict[int, str]:
    """The comments that follow code, by line."""
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        token.start[0]: token.string
        for token in found
        if token.type == tokenize.COMMENT and not token.line.lstrip().startswith("#")
    }


def _task_text(task: Task, *, opened: bool) -> str:
    """A task's lines in a learner's file."""
    indent = task.solution[: len(task.solution) - len(task.solution.lstrip())]
    if not opened:
        return f"{indent}# {task.title[0].upper()}{task.title[1:]}\n{task.solution}"
    notes = f"{indent}# TODO {task.number}: {task.title}\n"
    notes += "".join(f"{indent}#   {line}\n" for line in _folded(task.calls, 94 - len(indent)))
    return notes + task.opened


def _folded(text: str, width: int) -> Iterator[str]:
    """Lines of a width, broken at spaces that are not inside of code."""
    line = ""
    for word in re.findall(r"(?:`[^`]*`|\S)+", text):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line
