"""The command line of `python -m verify`: its words, and options that several of them share.

Neither MAX nor torch is imported here: a mistake is answered at once, and so is `--help` of a
command that needs neither.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.commands import UsageError
from verify.candidate.sandbox import OWN_CODE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = """\
exit codes:
  0  PASS
  1  FAIL
  2  ERROR: it could not be judged; one sentence says why
  3  UNDERPOWERED: everything passed, but mistakes would not have been noticed
  130 after Ctrl-C, 143 after SIGTERM, 141 where the reader of the output went away"""

DEFAULT = "verify.cli"
"""The module that verifies a model, where no command is named."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a word stands for: the module whose `main` takes the rest of the line, in a line."""

    module: str
    summary: str


COMMANDS = {
    "learn": Command(
        "verify.learn.learning", "build a GPT-2 of your own, step by step, checked at each save"
    ),
    "step": Command("verify.steps.single", "one of the steps of building a GPT-2, alone"),
    "steps": Command("verify.steps.progress", "which of the steps in a folder are done"),
    "training": Command(
        "verify.training.over_training", "every checkpoint of a fine-tuning, by one program"
    ),
    "package": Command(
        "verify.package.command", "an architecture package of MAX Serve, built in or your own"
    ),
    "zoo": Command("verify.package.zoo", "every text architecture that is built into MAX"),
    "endpoint": Command(
        "verify.endpoint.command_line", "a running server: does it answer as the model would?"
    ),
    "places": Command("verify.places", "the places that a verification compares, a line each"),
    "diff": Command("verify.diff", "two runs: what broke, what was mended, which places changed"),
    "reduce": Command("verify.reducing", "the smallest graph that MAX computes wrongly, as a file"),
    "replay": Command("verify.replay.again", "a run judged again: does its verdict still hold?"),
    "campaign": Command(
        "verify.campaign.__main__", "many random cases: false alarms, and faults caught"
    ),
    "rules": Command("verify.rules.__main__", "this rule and published ones on the same faults"),
    "wrong": Command("verify.steps.wrong.how_good", "how good the check of each step is"),
}


def chosen(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The module that a command line runs, and what it is given.

    Raises:
        UsageError: for a word that is not a command.
    """
    word = argv[0] if argv else ""
    if not word or word.startswith("-"):
        return DEFAULT, argv
    if word not in COMMANDS:
        raise UsageError(f"unknown command {word!r}; choose from {', '.join(COMMANDS)}")
    return COMMANDS[word].module, argv[1:]


def listed() -> str:
    """The commands, one a line, for `--help`."""
    lines = [f"  {word:<9} {command.summary}" for word, command in COMMANDS.items()]
    title = "commands (python -m verify COMMAND --help lists the options of each):"
    return "\n".join([title, "  (none)    verify a model, with the options above", *lines])


def add_limits(parser: argparse.ArgumentParser, own_code_s: float = OWN_CODE_S) -> None:
    """Add `--time-limit` and `--memory-limit`, which `verify.candidate.sandbox` keeps.

    Args:
        parser: of a command that runs a candidate.
        own_code_s: what holds without the first, in seconds; another than the sandbox's own is for
            the command to pass on.
    """
    parser.add_argument(
        "--time-limit",
        type=positive,
        metavar="S",
        help=f"seconds that the candidate's own code may take at a stretch ({own_code_s:g})",
    )
    parser.add_argument(
        "--memory-limit",
        type=positive,
        metavar="GiB",
        help="memory that a candidate may take (80%% of what is free)",
    )


def add_padded_vocab(parser: argparse._ActionsContainer) -> None:
    """Add `--padded-vocab`."""
    parser.add_argument(
        "--padded-vocab",
        action="store_true",
        help="the candidate's vocabulary has rows of padding: compare the columns of its tokens",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="write the outcome as JSON; - is standard output"
    )


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add `--table`."""
    parser.add_argument(
        "--table",
        action="store_true",
        help="print every row: of each place, each kind of check, and a candidate's pairing",
    )


def json_object(text: str) -> dict[str, Any]:
    """A JSON object, for argparse."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


def natural(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive(text: str) -> float:
    """A positive, finite number, for argparse."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
