"""`python -m verify learn [DIR]`: the twelve steps in a folder of one's own, checked at each save."""

from __future__ import annotations

import os
import queue
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from reports.commands import (
    WIDTH,
    Parser,
    UsageError,
    cannot_run,
    check_written,
    exit_code_of,
)
from verify.learn.keyboard import keys_of_terminal, saves_in
from verify.learn.learner_folder import LearnerFolder
from verify.learn.learning_session import Session
from verify.learn.terminal import Terminal
from verify.learn.without_terminal import NEXT_LEVEL, act
from verify.options import add_json, add_limits

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from verify.learn.keyboard import Event

FOLDER = Path("my_gpt2")
"""Where the learner's files go unless a folder is named."""

DESCRIPTION = """\
Build a GPT-2 in MAX, in twelve steps, in a folder of your own. Each step's file is checked within
seconds whenever it is saved, with hints in three levels; in the end the model is yours."""


def main(argv: Sequence[str]) -> int:
    """Begin or continue a learner's folder.

    Args:
        argv: what follows `learn`.

    Returns:
        0 where the current step passes or a terminal was left by `q`, 1 where the step does not
        pass, 2 where something cannot be done.
    """
    options = _parser().parse_args(argv)
    try:
        check_written(options.json, "--json")
        return _learn(options)
    except UsageError as error:
        return cannot_run("verify", error)
    except KeyboardInterrupt as stop:
        return exit_code_of(stop)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m verify learn", description=DESCRIPTION)
    add = parser.add_argument
    add("folder", type=Path, nargs="?", default=FOLDER, metavar="DIR",
        help=f"of your own; it is made if it is not there ({FOLDER})")  # fmt: skip
    add("--compile", action="store_true", help="have MAX compile at each check, not at a step's end")
    add("--quick", action="store_true",
        help="compile no step: it is done once it is right in float64 (the whole model is compiled)")  # fmt: skip
    add("--model", default="tiny", help="what the whole model is loaded with: tiny (default), a "
        "folder, or a hub id such as openai-community/gpt2")  # fmt: skip
    asked = parser.add_argument_group(
        "without a terminal, or once", "each does what its key does in a terminal"
    ).add_mutually_exclusive_group()
    asked.add_argument("--once", action="store_true", help="check the current step, and stop")
    asked.add_argument("--next", action="store_true", help="have MAX compile it, then go on")
    asked.add_argument("--hint", nargs="?", const=NEXT_LEVEL, choices=[NEXT_LEVEL, "1", "2", "3"],
        metavar="LEVEL", help="the next hint on what fails, or that of a level")  # fmt: skip
    asked.add_argument("--explain", action="store_true", help="what the current step is about")
    asked.add_argument("--solution", action="store_true", help="one way to write it")
    asked.add_argument("--list", action="store_true", help="all steps, and which are done")
    asked.add_argument("--reset", action="store_true", help="begin its file again; a copy is kept")
    add_limits(parser)
    add_json(parser)
    return parser


def _learn(options: argparse.Namespace) -> int:
    folder = LearnerFolder(options.folder)
    fresh = folder.open()
    session = Session(
        folder, compiled=options.compile, quick=options.quick, limits=_limits(options)
    )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    asked = any(getattr(options, name) for name in ("once", "next", "explain", "solution", "list",
                                                    "reset", "json"))  # fmt: skip
    if asked or options.hint is not None or not _is_terminal():
        return act(options, session, console)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with keys_of_terminal(events), saves_in(folder.path, events):
        Terminal(session, console, events, whole=lambda: "", fresh=fresh).run()
    return 0


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.name == "posix"


def _limits(options: argparse.Namespace) -> list[str]:
    words = []
    for name in ("time_limit", "memory_limit"):
        if value := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words
