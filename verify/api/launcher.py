"""The command `max-parity`: one of the five folders' commands, in this very process's place.

The process becomes `python -P -m verify ...`, so that signals and the exit code are the tool's own.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, NoReturn

from .harness import NAME, command, environment, installed, own_version
from .tree import TREE, as_text, full

if TYPE_CHECKING:
    from collections.abc import Sequence

CANNOT_RUN = 2
SHOWN = ("modular", "torch", "transformers")
"""Packages whose versions `--version` tells too."""


def main() -> None:
    """Run the command line; see `as_text` for its words."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(as_text())
    elif words[0] == "--version":
        print(_versions())
    elif known := full(words):
        _become(known)
    else:
        choices = ", ".join(TREE)
        print(f"{NAME}: unknown command {words[0]!r}; choose from {choices}", file=sys.stderr)
        sys.exit(CANNOT_RUN)


def _become(words: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    arguments = command(words)
    os.execve(arguments[0], arguments, environment())  # noqa: S606 - this very interpreter


def _versions() -> str:
    others = [f"{name} {installed(name) or 'not installed'}" for name in SHOWN]
    return ", ".join([f"{NAME} {own_version()}", *others, f"Python {platform.python_version()}"])
