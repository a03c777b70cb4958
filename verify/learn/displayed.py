"""What is shown of a step; in a pipe the same words, without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.markdown import Markdown
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from reports.waiting import about
from verify.learn.learner_folder import CORE
from verify.learn.step_check import PLAIN_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from verify.learn.learner_folder import Standing
    from verify.learn.step_check import Checked, PhaseSeen
    from verify.steps.lessons import Lesson

LEVELS = 3
"""Levels of hints: what to look at, which formula, which line of thought."""

INDENT = 6

KEYS = (
    ("h", "hint", "the next of three hints: what to look at, which formula, which thought"),
    ("e", "explanation", "what the step is about; after it has passed, what to take along"),
    ("s", "solution", "one way to write it; before the step has passed, the state notes that"),
    ("n", "next", "check the step as MAX compiles it, then go on to the next one"),
    ("l", "list", "all steps, and which are done"),
    ("r", "reset", "begin this step's file again; a copy of it is kept"),
    ("q", "quit", "stop; the same command goes on from here"),
    ("?", "help", "this list; Enter shows the step again"),
)
"""By key: its name, and what it does."""

WELCOME = """\
You will write a GPT-2 in MAX, in twelve steps. Each has a file with numbered TODOs: open it in \
your editor, begin with TODO 1, and save. It is checked each time you save it. Press e first: that \
explains what the step is about."""

WHOLE_IS_NEXT = """\
Your twelve files are a whole GPT-2 now. n assembles it: real weights are loaded, every layer is \
compared with PyTorch's, it writes a text, it is timed beside PyTorch and this project's own \
engine, and you get a page of it to keep. That takes five to ten minutes on two cores (with \
--quick one minute: nothing is compiled, and nothing is timed)."""

ALL_DONE = """\
That was all of it: a GPT-2 of your own, from its sizes to its text, the same model as PyTorch's \
in every place. It is yours: read it once more from step 11 downwards, then change something, and \
see what the check says. `python -m verify --candidate` checks any model that you write from \
here on."""


def heading(standing: Standing, done: int) -> RenderableType:
    """The step: its number, title and purpose, and the file in which it is written."""
    step = standing.lesson.step
    of = f" of {CORE}" if step.number <= CORE else ""
    return Group(
        Text.assemble((f"Step {step.number}{of}: {step.title}", "bold"), "  ", bar(done)),
        Text(step.purpose),
        Text(f"file: {standing.file}" if standing.file else "no file yet", "dim"),
    )


def bar(done: int) -> Text:
    """How many of the twelve are done."""
    marks = "#" * min(done, CORE) + "." * (CORE - done)
    return Text(f"[{marks}] {done} done", "green" if done else "dim")


def outcome(
    found: Checked, hints: Sequence[str], level: int, *, waits: bool = True
) -> RenderableType:
    """The phases, the problem and the hints of a check, and how long it took.

    Args:
        found: the check.
        hints: on what fails, all levels.
        level: how many levels of hints are shown.
        waits: whether a key, rather than an option, gives the next hint.
    """
    parts: list[RenderableType] = []
    for phase in found.phases:
        parts += _phase(phase, hints, level, waits=waits)
    if not found.phases:
        parts.append(Text("It could not be checked:", "bold red"))
        parts.append(_inside(Text(found.reason)))
    if found.printed:
        parts.append(Text("Your code printed:", "dim"))
        parts += [_inside(Text(line, "dim"), 2) for line in found.printed]
    how = "compiled by MAX" if found.compiled else "in float64, not compiled"
    if found.number in PLAIN_STEPS:
        how = "in plain Python"
    word, style = {"PASS": ("passes", "bold green"), "FAIL": ("does not pass yet", "bold red")}.get(
        found.verdict, ("could not be judged", "bold red")
    )
    took = f"checked at {found.when} in {about(found.seconds)}, {how}"
    parts.append(
        Text.assemble("Step ", str(found.number), " ", (word, style), (f"  ({took})", "dim"))
    )
    return Group(*parts)


def _phase(
    phase: PhaseSeen, hints: Sequence[str], level: int, *, waits: bool
) -> list[RenderableType]:
    mark = Text("ok  ", "green") if phase.passed else Text("no  ", "bold red")
    parts: list[RenderableType] = [Text.assemble("  ", mark, phase.title)]
    if phase.said:
        parts.append(_inside(Text(phase.said, "dim")))
    if phase.passed:
        return parts
    parts.append(_inside(Text(phase.problem)))
    parts += [_inside(Text(note, "dim")) for note in phase.notes]
    for number, hint in enumerate(hints[:level], 1):
        parts.append(_inside(Text(f"Hint {number} of {len(hints)}: {hint}", "cyan")))
    if level < len(hints):
        parts.append(_inside(Text("h: the next hint" if waits else "--hint: the next one", "dim")))
    return parts


def broken(found: Checked) -> Text:
    """A finished step that does not pass any more."""
    phase = found.failed_phase
    why = f"{phase.title}: {phase.problem}" if phase else found.reason
    return Text(f"Step {found.number} had passed, and does not any more: {why}", "yellow")


def explanation(lesson: Lesson, *, passed: bool) -> RenderableType:
    """What a step is about; once it has passed, what to take along too."""
    step = lesson.step
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("You write", f"{step.name}, called as {step.signature}"),
        ("Computes", step.formula),
        ("Shapes", step.shapes),
        ("Checked", step.tested),
    ):
        facts.add_row(Text(name, "cyan"), Text(value))
    parts: list[RenderableType] = [
        Text(f"Step {step.number}: {step.title}", "bold"),
        Markdown(lesson.explanation),
        Text(),
        facts,
        Text("B batch, S sequence, D n_embd, H heads, V vocab_size", "dim"),
    ]
    if passed and lesson.afterwards:
        parts += [Text(), afterwards(lesson)]
    return Group(*parts)


def afterwards(lesson: Lesson) -> RenderableType:
    """What to take along from a step that has passed."""
    return Group(Text("What to take along", "bold"), Markdown(lesson.afterwards))


def solution(lesson: Lesson) -> RenderableType:
    """A file that passes."""
    title = f"One way to write step {lesson.step.number}: {lesson.step.title}"
    code = Syntax(lesson.solution, "python", theme="ansi_dark", background_color="default",
                  word_wrap=True)  # fmt: skip
    return Group(Text(title, "bold"), Text(), code)


def listing(all_of: Sequence[Standing]) -> RenderableType:
    """All steps, and how each stands."""
    table = Table.grid(padding=(0, 2))
    for one in all_of:
        style = {"done": "green", "changed": "yellow", "begun": "bold"}.get(one.word, "dim")
        table.add_row(
            Text(str(one.number), "dim", justify="right"),
            Text(one.lesson.step.title, style),
            Text(one.word, style),
            Text(", ".join(_remarks(one)), "dim"),
        )
    done = sum(one.done for one in all_of)
    return Group(table, Text(f"{done} of {len(all_of)} steps done"))


def _remarks(one: Standing) -> list[str]:
    kept = one.kept
    said = [f"passed {kept.passed}" if kept.passed else ""]
    said.append("not compiled" if kept.passed and kept.checked == "float64" else "")
    count = sum(kept.hints.values())
    said.append(f"{count} hint{'s' if count > 1 else ''}" if count else "")
    said.append("solution seen first" if kept.solution else "")
    return [text for text in said if text]


def keys_line() -> Text:
    """What can be pressed."""
    line = Text()
    for key, name, _ in KEYS:
        line.append(key, "bold cyan").append(f" {name}  ", "dim")
    return line


def keys_help() -> RenderableType:
    """Each key, and what it does."""
    table = Table.grid(padding=(0, 2))
    for key, _, what in KEYS:
        table.add_row(Text(key, "bold cyan"), Text(what))
    return Group(Text("Keys", "bold"), table)


def whole_said(verdict: str, folder: Path) -> str:
    """What the verdict on the whole model means."""
    if verdict == "PASS":
        more = "Two more steps go further: 13 serves it, 14 gives it a KV cache."
        return f"{ALL_DONE} {more} Your page: {folder / 'my_gpt2.html'}"
    if verdict == "FAIL":
        return (
            "Each step passes alone, and the whole does not yet: the first divergence above names "
            "the place. Mend its step's file; it is checked when you save it."
        )
    return f"There is no full verdict on the whole model ({verdict}); the reason is above."


def rule() -> RenderableType:
    """A line across."""
    return Rule(style="dim", characters="-")


def _inside(text: Text, columns: int = INDENT) -> Padding:
    return Padding(text, (0, 0, 0, columns), expand=False)


def reset_said(copy: Path | None, file: Path) -> str:
    """What a reset did."""
    kept = f"your file is kept as {copy}" if copy else "there was no file"
    return f"{file} is begun again; {kept}"
