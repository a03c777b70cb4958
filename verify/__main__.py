"""Entry point of `python -m verify`; `verify.options` is the table of its words.

A candidate's code is run in a child process (`verify.candidate.sandbox`).
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reports.commands import (
    CANNOT_RUN,
    STOPPED,
    UsageError,
    cannot_run,
    exit_code_of,
    how_stopped,
    terminable,
    working_directory_last,
)
from reports.program import as_program
from verify.candidate.sandbox import (
    TRACEBACK,
    enter,
    in_words,
    leave,
    needs_child,
    print_error,
    runs_candidate,
    supervise,
    watched_file,
)
from verify.options import chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

MADE_FOR = "26.7"
"""The oldest version that has what `verify.candidate.staging` traces with: 26.6 has neither
`max.tree`, nor a `StagedGraph` that is made from a function, nor weights that are declarations."""


def main(argv: Sequence[str]) -> int:
    """Run the command that is named; where a signal stops it, say so and leave at once.

    A normal end would wait for MAX's compiler.
    """
    working_directory_last()
    try:
        with terminable():
            return _in_its_process(argv)
    except KeyboardInterrupt as stop:
        print(f"verify: {how_stopped(stop)} before anything was checked", file=sys.stderr)
        return leave(exit_code_of(stop))


def _in_its_process(argv: Sequence[str]) -> int:
    """The command that is named, a candidate's code in a child; returns the exit code."""
    try:
        module, rest = chosen(argv)
    except UsageError as error:
        return cannot_run("verify", error)
    if "--watch" in argv:
        return _watch(argv)
    if needs_child(argv):
        return supervise(argv)
    enter()
    try:
        return leave(_run(module, rest))
    except SystemExit as end:  # argparse's: bad usage, or --help
        return leave(int(end.code or 0))
    except Exception as error:  # whatever a candidate leads to ends in a sentence
        if not runs_candidate(argv) or TRACEBACK in os.environ:
            raise
        print_error(
            f"no verdict: verify itself fails with {in_words(error)} ({TRACEBACK}=1 shows where)",
            argv,
        )
        return leave(CANNOT_RUN)


def _watch(argv: Sequence[str]) -> int:
    """The candidate or the step's file that is named, judged again whenever it is saved."""
    from verify.live.watch import watch, watch_step

    rest = [word for word in argv if word != "--watch"]
    if argv[0] == "step":
        files = [Path(word) for word in rest[2:] if not word.startswith("-")]
        return watch_step(rest, files[0] if files else Path())
    named = watched_file(argv)
    if named is None:
        return cannot_run("verify", "--watch needs --candidate FILE.py:NAME")
    return watch(rest, named)


def _run(module: str, argv: Sequence[str]) -> int:
    """MAX and torch are imported by the commands that need them."""
    try:
        code: int = importlib.import_module(module).main(argv)
    except ImportError as error:
        if not (error.name or "").startswith("max"):
            raise
        told = f"the MAX that is installed has another interface: {error}"
        return cannot_run("verify", told, f"verify: this is made for MAX {MADE_FOR}")
    return code


if __name__ == "__main__":
    code = as_program("verify", main)
    if code in STOPPED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
