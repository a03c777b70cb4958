"""`python -m verify steps DIR`: which steps are done, the twelve of the model and those after them.

Each step's file is checked by `python -m verify step N FILE` in a process of its own, so that one
that hangs or crashes costs its own row only. Neither MAX nor torch is imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from reports.commands import (
    INTERRUPTED,
    TERMINATED,
    WIDTH,
    Parser,
    Terminated,
    UsageError,
    as_called,
    cannot_run,
    check_written,
    open_console,
)
from reports.saved.files import write_json
from verify.options import add_json, add_limits
from verify.steps.course import BUILDING, PHASES, STEPS
from verify.steps.definitions import defined_in

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from rich.console import Console

    from verify.steps.course import Step


def main(argv: Sequence[str]) -> int:
    """Check all files of a folder; returns 0 where the model's steps are done, 1 if not, 2 misused.

    A step that goes further counts where there is a file for it.

    Args:
        argv: what follows `steps`.
    """
    options = _parser().parse_args(argv)
    console = open_console(highlight=False)
    try:
        check_written(options.json, "--json")
        return _steps(options, console)
    except UsageError as error:
        return cannot_run("verify", error)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m verify steps", description="Which of the twelve steps are done?"
    )
    parser.add_argument("folder", type=Path, help="holds step_01.py to step_12.py, or further")
    add_limits(parser)
    add_json(parser)
    return parser


def _steps(options: argparse.Namespace, console: Console) -> int:
    if not options.folder.is_dir():
        raise UsageError(f"there is no folder {options.folder}")
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in ("step", "phases", "file", "what to do next"):
        table.add_column(name, overflow="fold")
    results = []
    for step in STEPS:
        file = find(step, options.folder)
        with console.status(f"step {step.number}: {step.title}"):
            results.append(_checked(step, file, options) if file else _missing(step))
        table.add_row(*_row(step, results[-1], options.folder))
    console.print(table)
    done = sum(result["verdict"] == "PASS" for result in results[:BUILDING])
    further = [result["verdict"] for result in results[BUILDING:] if result["file"]]
    more = f", and {further.count('PASS')} of {len(STEPS) - BUILDING} that go further"
    console.print(f"{done} of {BUILDING} steps done{more if further else ''}")
    passed = done == BUILDING and further.count("PASS") == len(further)
    if options.json:
        write_json(options.json, {"verdict": "PASS" if passed else "FAIL", "steps": results})
    return 0 if passed else 1


def find(step: Step, folder: Path) -> Path | None:
    """The step's file: its name has the step's number, `step_07.py` or `7_attention.py`.

    Other books count otherwise. Where the file of that number defines another step's class and not
    this one's, the file of another number that defines this one's is the step's. What comes after
    the model is anything in other books: there, only a file that defines the step's class is its.
    """
    numbered = {file: number for file in sorted(folder.glob("*.py")) if (number := _number(file))}
    if step.number > BUILDING:
        return next((file for file in numbered if _defines(file, step)), None)
    own = next((file for file, number in numbered.items() if number == step.number), None)
    if own is None or _defines(own, step) or not any(_defines(own, other) for other in STEPS):
        return own
    return next((file for file in numbered if _defines(file, step)), own)


def _number(file: Path) -> int | None:
    """The first number in a file's name."""
    digits = "".join(c if c.isdigit() else " " for c in file.stem).split()
    return int(digits[0]) if digits else None


def _defines(file: Path, step: Step) -> bool:
    """Whether a file defines a step's class, under a name that is known for it."""
    return not set(defined_in(file)).isdisjoint(step.names)


def _missing(step: Step) -> dict[str, Any]:
    return {"verdict": "MISSING", "step": step.number, "file": None, "phases": []}


def _checked(step: Step, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What `verify step N FILE --json` says; where it says nothing, why."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "step.json"
        command = [sys.executable, "-m", "verify", "step", str(step.number), str(file)]
        command += ["--json", str(target)]
        for name in ("time_limit", "memory_limit"):
            if value := getattr(options, name):
                command += [f"--{name.replace('_', '-')}", str(value)]
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode == INTERRUPTED:
            raise KeyboardInterrupt
        if done.returncode == TERMINATED:
            raise Terminated
        if not target.is_file():
            words = done.stderr.strip().splitlines() or ["it ended without any output"]
            report = {"verdict": "ERROR", "reason": words[-1]}
        else:
            report = json.loads(target.read_text(encoding="utf-8"))
    return {"step": step.number, "file": str(file), **report}


def _row(step: Step, result: dict[str, Any], folder: Path) -> list[str | Text]:
    phases = result.get("phases", [])
    passed = sum(phase["passed"] for phase in phases)
    bar = Text("#" * passed + "." * (len(PHASES) - passed), "green" if passed == 5 else "yellow")
    file = Path(result["file"]).name if result["file"] else "-"
    return [f"{step.number} {step.title}", bar, file, Text(_todo(step, result, folder))]


def _todo(step: Step, result: dict[str, Any], folder: Path) -> str:
    if result["verdict"] == "MISSING":
        target = folder / f"step_{step.number:02}.py"
        return as_called(f"python -m verify step {step.number} --scaffold {target}")
    failed = next((phase for phase in result.get("phases", []) if not phase["passed"]), None)
    if failed:
        return f"{failed['title']}: {failed['problem']}"
    return str(result.get("reason", "done"))
