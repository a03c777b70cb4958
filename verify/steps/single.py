"""`python -m verify step N FILE`: one step, checked phase by phase."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports.commands import Parser, UsageError, cannot_run, check_written, open_console
from reports.saved.files import write_json
from verify.candidate.sandbox import say
from verify.options import add_json, add_limits
from verify.steps.course import STEPS
from verify.steps.lessons import lesson

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from verify.steps.course import Step
    from verify.steps.phases import Phase


def main(argv: Sequence[str]) -> int:
    """Check, explain or begin a step; returns 0 where it passes, 1 where not, 2 for bad usage.

    Args:
        argv: what follows `step`.
    """
    options = _parser().parse_args(argv)
    console = open_console(highlight=False)
    try:
        return _step(options, console)
    except UsageError as error:
        return cannot_run("verify", error)
    except OSError as error:
        return cannot_run("verify", f"{error.filename}: {error.strerror}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m verify step", description="Check one of the steps of a GPT-2.")
    parser.add_argument("number", type=int, choices=range(1, len(STEPS) + 1), metavar="N")
    parser.add_argument("file", type=Path, nargs="?", help="the file in which it is written")
    parser.add_argument(
        "--explain", action="store_true", help="what the step is for, and its shapes"
    )
    parser.add_argument("--scaffold", type=Path, metavar="FILE", help="write a skeleton with TODOs")
    parser.add_argument("--quick", action="store_true", help="in seconds; nothing is compiled")
    parser.add_argument(
        "--watch", action="store_true", help="again, with --quick, whenever the file is saved"
    )
    add_limits(parser)
    add_json(parser)
    return parser


def _step(options: argparse.Namespace, console: Console) -> int:
    step = STEPS[options.number - 1]
    if options.explain:
        console.print(explanation(step))
        return 0
    if options.scaffold:
        return _scaffold(step, options.scaffold, console)
    if options.file is None:
        raise UsageError(f"step {step.number} needs a file, --explain or --scaffold FILE")
    if not options.file.is_file():
        raise UsageError(f"there is no file {options.file}")
    check_written(options.json, "--json")
    console.print(f"Step {step.number}: {step.title}", style="bold")
    phases = []
    for phase in _said(step, options.file, quick=options.quick):
        _show(phase, console)
        phases.append(phase)
    verdict = "PASS" if all(phase.passed for phase in phases) else "FAIL"
    note = ", not compiled" if options.quick else ""
    style = "green" if verdict == "PASS" else "bold red"
    console.print(Text(f"Verdict: {verdict}{note}", style))
    if options.json:
        write_json(options.json, _report(step, verdict, phases))
    return 0 if verdict == "PASS" else 1


def _said(step: Step, file: Path, *, quick: bool) -> Iterator[Phase]:
    """The phases as they come; the parent learns that the harness works."""
    from verify.steps.phases import check_step  # imports MAX and torch

    say(f"checking step {step.number}")
    yield from check_step(step, file, quick=quick)


def _report(step: Step, verdict: str, phases: list[Phase]) -> dict[str, Any]:
    """The outcome as `--json` writes it."""
    return {
        "verdict": verdict,
        "step": step.number,
        "title": step.title,
        "phases": [asdict(phase) for phase in phases],
    }


def _show(phase: Phase, console: Console) -> None:
    mark = Text("ok  ", "green") if phase.passed else Text("no  ", "bold red")
    console.print(Text.assemble("  ", mark, phase.title))
    if phase.said:
        console.print(Padding(Text(phase.said, "dim"), (0, 0, 0, 6), expand=False))
    if not phase.passed:
        lines = [Text(phase.problem), *(Text(note, "dim") for note in phase.notes)]
        for line in (*lines, Text(f"Hint: {phase.hint}", "cyan")):
            console.print(Padding(line, (0, 0, 0, 6), expand=False))


def explanation(step: Step) -> Group:
    """What `--explain` prints: in a few lines, then in some paragraphs."""
    rows = Table.grid(padding=(0, 2))
    for title, value in (
        ("What for", step.purpose),
        ("You write", f"{step.name}, called as {step.signature}"),
        ("Computes", step.formula),
        ("Shapes", step.shapes),
        ("Checked", step.tested),
    ):
        rows.add_row(Text(title, "cyan"), Text(value))
    return Group(
        Text(f"Step {step.number}: {step.title}", "bold"),
        rows,
        Text("B batch, S sequence, D n_embd, H heads, V vocab_size", "dim"),
        Text(),
        Markdown(lesson(step.number).explanation),
    )


def _scaffold(step: Step, path: Path, console: Console) -> int:
    if path.exists():
        raise UsageError(f"{path} exists already; nothing was written")
    path.write_text(lesson(step.number).skeleton, encoding="utf-8")
    console.print(f"{path}: step {step.number}, {step.title}, to be filled in")
    return 0
