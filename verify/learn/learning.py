"""`python -m verify learn [DIR]`: the steps in a folder of one's own, checked at each save."""

from __future__ import annotations

import argparse
import os
import queue
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from reports.commands import (
    CANNOT_RUN,
    UNDERPOWERED,
    WIDTH,
    Parser,
    UsageError,
    cannot_run,
    check_written,
    duration,
    exit_code_of,
)
from verify.learn.displayed import WELCOME
from verify.learn.keyboard import keys_of_terminal, saves_in
from verify.learn.learner_folder import LearnerFolder
from verify.learn.learning_session import Session
from verify.learn.terminal import Terminal
from verify.learn.whole_model import BUDGET, Asked, whole_model
from verify.learn.without_terminal import NEXT_LEVEL, act, answer
from verify.options import add_json, add_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verify.learn.keyboard import Event

FOLDER = Path("my_gpt2")
"""Where the learner's files go unless a folder is named."""

OWN_CODE_S = 30.0
"""Longest time that a learner's code may take at a stretch, unless `--time-limit` says otherwise:
a loop without an end is found while one still waits."""

EXIT = {"PASS": 0, "FAIL": 1, "ERROR": CANNOT_RUN, "UNDERPOWERED": UNDERPOWERED}

DESCRIPTION = """\
Build a GPT-2 in MAX, in twelve steps, in a folder of your own. Each step's file is checked within
seconds whenever it is saved, with hints in three levels; in the end the model is yours."""


def main(argv: Sequence[str]) -> int:
    """Begin or continue a learner's folder; `whole_model` calls this for the text too.

    Args:
        argv: what follows `learn`.

    Returns:
        0 where the current step passes or a terminal was left by `q`, 1 where the step does not
        pass, 2 where something cannot be done.
    """
    options = _parser().parse_args(argv)
    try:
        check_written(options.json, "--json")
        return _own_text(options) if options.own_text else _learn(options)
    except UsageError as error:
        return cannot_run("verify", error)
    except KeyboardInterrupt as stop:
        return exit_code_of(stop)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m verify learn", description=DESCRIPTION)
    add = parser.add_argument
    add("folder", type=Path, nargs="?", default=FOLDER, metavar="DIR",
        help=f"of your own; it is made if it is not there ({FOLDER})")  # fmt: skip
    add(
        "--compile", action="store_true", help="have MAX compile at each check, not at a step's end"
    )
    add("--quick", action="store_true",
        help="compile nothing: a step, and the whole, is done when right in float64")  # fmt: skip
    add("--model", default="tiny", help="what the whole model is loaded with: tiny (default), a "
        "folder, or a hub id such as openai-community/gpt2")  # fmt: skip
    add("--budget", default=BUDGET, type=_budget, metavar="TIME",
        help=f"what timing the whole model may take, such as {BUDGET} (default) or 5m; 0 for "
        "none")  # fmt: skip
    add("--own-text", nargs=2, help=argparse.SUPPRESS)
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
    asked.add_argument("--whole", action="store_true",
        help="after the twelve: verify your GPT-2 as a whole, have it write, time it, make a "
        "page of it")  # fmt: skip
    add_limits(parser, OWN_CODE_S)
    add_json(parser)
    return parser


def _budget(text: str) -> str:
    """A duration as `python -m bench --budget` takes it, or 0."""
    if text != "0":
        duration(text)
    return text


def _learn(options: argparse.Namespace) -> int:
    folder = LearnerFolder(options.folder)
    fresh = folder.open()
    session = Session(
        folder, compiled=options.compile, quick=options.quick, limits=_limits(options)
    )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    asked = any(getattr(options, name) for name in ("once", "next", "explain", "solution", "list",
                                                    "reset", "json"))  # fmt: skip
    whole = Asked(model=options.model, budget=options.budget, quick=options.quick)
    if options.whole:
        verdict = whole_model(folder, whole, console)
        answer(options, session, verdict=verdict)
        return EXIT[verdict]
    if asked or options.hint is not None or not _is_terminal():
        if fresh:
            console.print(WELCOME)
        return act(options, session, console)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with keys_of_terminal(events), saves_in(folder.path, events):
        Terminal(
            session, console, events, whole=lambda: whole_model(folder, whole, console), fresh=fresh
        ).run()
    return 0


def _own_text(options: argparse.Namespace) -> int:
    """In a process of its own: the learner's model writes."""
    from reference.checkpoint import CheckpointError
    from verify.candidate.guard import CandidateError
    from verify.learn.own_text import write_text

    try:
        candidate, generation = options.own_text
        write_text(options.model, candidate, generation, options.json, quick=options.quick)
    except (CandidateError, CheckpointError) as error:
        return cannot_run("verify", error, *getattr(error, "__notes__", ()))
    return 0


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.name == "posix"


def _limits(options: argparse.Namespace) -> list[str]:
    words = ["--time-limit", str(options.time_limit or OWN_CODE_S)]
    return [*words, "--memory-limit", str(options.memory_limit)] if options.memory_limit else words
