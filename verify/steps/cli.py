"""`python -m verify step N FILE` and `python -m verify steps DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from verify.sandbox import OWN_CODE_S, say
from verify.steps.catalogue import STEPS
from verify.steps.phases import PHASES, check_step
from verify.steps.skeletons import skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verify.steps.catalogue import Step
    from verify.steps.phases import Phase

WIDTH = 100


def main(argv: Sequence[str]) -> int:
    """Run `step` or `steps`; returns 0 where all passed, 1 where one did not, 2 for bad usage."""
    options = _parser().parse_args(argv)
    console = Console(width=WIDTH if not sys.stdout.isatty() else None, highlight=False)
    try:
        return _steps(options, console) if options.command == "steps" else _step(options, console)
    except OSError as error:
        return _wrong(f"{error.filename}: {error.strerror}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("step", help="check one of the twelve steps")
    step.add_argument("number", type=int, choices=range(1, len(STEPS) + 1), metavar="N")
    step.add_argument("file", type=Path, nargs="?", help="the file in which it is written")
    step.add_argument("--explain", action="store_true", help="what the step is for, and its shapes")
    step.add_argument("--scaffold", type=Path, metavar="FILE", help="write a skeleton with TODOs")
    steps = commands.add_parser("steps", help="check all files of a folder")
    steps.add_argument("folder", type=Path, help="holds step_01.py to step_12.py")
    for command in (step, steps):
        command.add_argument(
            "--time-limit", type=float, metavar="S",
            help=f"seconds that your own code may take at a stretch ({OWN_CODE_S:g})",
        )  # fmt: skip
        command.add_argument("--memory-limit", type=float, metavar="GiB")
    return parser


def _wrong(message: str) -> int:
    print(f"verify: {message}", file=sys.stderr)
    return 2


def _step(options: argparse.Namespace, console: Console) -> int:
    step = STEPS[options.number - 1]
    if options.explain:
        console.print(explanation(step))
        return 0
    if options.scaffold:
        return _scaffold(step, options.scaffold, console)
    if options.file is None:
        return _wrong(f"step {step.number} needs a file, --explain or --scaffold FILE")
    if not options.file.is_file():
        return _wrong(f"there is no file {options.file}")
    console.print(f"Step {step.number}: {step.title}", style="bold")
    passed = True
    for phase in _said(step, options.file):
        _show(phase, console)
        passed = passed and phase.passed
    verdict = "PASS" if passed else "FAIL"
    console.print(Text(f"Verdict: {verdict}", "green" if passed else "bold red"))
    return 0 if passed else 1


def _said(step: Step, file: Path) -> list[Phase]:
    """The phases, the parent being told that the harness works."""
    say(f"checking step {step.number}")
    return list(check_step(step, file))


def _show(phase: Phase, console: Console) -> None:
    mark = Text("ok  ", "green") if phase.passed else Text("no  ", "bold red")
    console.print(Text.assemble("  ", mark, phase.title))
    if not phase.passed:
        lines = [Text(phase.problem), *(Text(note, "dim") for note in phase.notes)]
        for line in (*lines, Text(f"Hint: {phase.hint}", "cyan")):
            console.print(Padding(line, (0, 0, 0, 6)))


def explanation(step: Step) -> Text:
    """What `--explain` prints."""
    text = Text()
    text.append(f"Step {step.number}: {step.title}\n", "bold")
    for title, value in (
        ("What for", step.purpose),
        ("You write", f"{step.name}, called as {step.signature}"),
        ("Computes", step.formula),
        ("Shapes", step.shapes),
        ("Checked", step.tested),
    ):
        text.append(f"{title:<10}", "cyan")
        text.append(f"{value}\n")
    text.append("B batch, S sequence, D n_embd, H heads, V vocab_size", "dim")
    return text


def _scaffold(step: Step, path: Path, console: Console) -> int:
    if path.exists():
        return _wrong(f"{path} exists already; nothing was written")
    path.write_text(skeleton(step), encoding="utf-8")
    console.print(f"{path}: step {step.number}, {step.title}, to be filled in")
    return 0


def _steps(options: argparse.Namespace, console: Console) -> int:
    if not options.folder.is_dir():
        return _wrong(f"there is no folder {options.folder}")
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in ("step", "phases", "file", "what to do next"):
        table.add_column(name, overflow="fold")
    done = 0
    for step in STEPS:
        file = find(step, options.folder)
        phases = _said(step, file) if file else []
        done += bool(phases) and all(phase.passed for phase in phases)
        table.add_row(*_row(step, file, phases))
    console.print(table)
    console.print(f"{done} of {len(STEPS)} steps done")
    return 0 if done == len(STEPS) else 1


def find(step: Step, folder: Path) -> Path | None:
    """The step's file: its name has the step's number, `step_07.py` or `7_attention.py`."""
    for file in sorted(folder.glob("*.py")):
        digits = "".join(c if c.isdigit() else " " for c in file.stem).split()
        if digits and int(digits[0]) == step.number:
            return file
    return None


def _row(step: Step, file: Path | None, phases: list[Phase]) -> list[str | Text]:
    passed = sum(phase.passed for phase in phases)
    bar = Text("#" * passed + "." * (len(PHASES) - passed), "green" if passed == 5 else "yellow")
    following = next((p for p in phases if not p.passed), None)
    if file is None:
        todo = f"python -m verify step {step.number} --scaffold step_{step.number:02}.py"
    else:
        todo = f"{following.title}: {following.problem}" if following else "done"
    return [f"{step.number} {step.title}", bar, file.name if file else "-", Text(todo)]
