"""The words of `python -m verify`, and the module that each one runs.

Neither MAX nor torch is imported here: a mistake is answered at once, and so is `--help` of a
command that needs neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.commands import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = "verify.cli"
"""The module that verifies a model, where no command is named."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a word stands for: the module whose `main` takes the rest of the line, in a line."""

    module: str
    summary: str


COMMANDS = {
    "step": Command("verify.steps.single", "one of the twelve steps of building a GPT-2, alone"),
    "steps": Command("verify.steps.progress", "which of the twelve steps in a folder are done"),
    "diff": Command("verify.diff", "two runs: which places changed, and whether for the better"),
    "campaign": Command("verify.campaign", "many random cases: false alarms, and faults caught"),
    "rules": Command("verify.rules.__main__", "this rule and published ones on the same faults"),
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
    title = "commands (python -m verify COMMAND --help tells the options of each):"
    return "\n".join([title, "  (none)    verify a model, with the options above", *lines])
