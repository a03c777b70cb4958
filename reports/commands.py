"""What every command line of this repository shares: exit codes, a parser, a console, checks.

Only the standard library is imported here, so that a mistake is answered at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

CANNOT_RUN = 2
"""Exit code where something could not be run, after one sentence that says why."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell counts signals: 128 and SIGINT's number."""

TERMINATED = 143
"""Exit code after SIGTERM, likewise."""

CLOSED_PIPE = 141
"""Exit code where the reader of the output went away, likewise."""

WIDTH = 100
"""Columns of what is printed where there is no terminal."""


SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
"""By the letter after a number of them."""


class UsageError(ValueError):
    """Options that cannot be carried out, said in one sentence."""


class Parser(argparse.ArgumentParser):
    """Answers a mistake in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(CANNOT_RUN, f"{self.prog}: {message}; see --help\n")


def duration(text: str) -> float:
    """`90s`, `2m`, `1.5h` or a bare number of seconds, for argparse; at least something."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text, re.ASCII)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 2m or 1h")
    return float(found[1]) * SECONDS[found[2]]


def open_console(*, highlight: bool = True) -> Console:
    """A console as wide as the terminal, or of `WIDTH` columns where there is none.

    Args:
        highlight: whether numbers are coloured.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=highlight)


def check_written(path: Path | None, option: str) -> None:
    """Find out before a long run whether a file can be written whole at its end.

    It is written beside itself and then renamed, so that its folder must be writable.

    Args:
        path: the file; None where the option was not given.
        option: its name, for the sentence.

    Raises:
        UsageError: if it cannot.
    """
    if path is not None:
        _check_place(path, path.parent, option)


def check_appended(path: Path | None, option: str) -> None:
    """Find out before a long run whether a file can be appended to at its end.

    Args:
        path: the file; None where the option was not given.
        option: its name, for the sentence.

    Raises:
        UsageError: if it cannot.
    """
    if path is not None:
        _check_place(path, path if path.exists() else path.parent, option)


def _check_place(path: Path, changed: Path, option: str) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{option}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(changed, os.W_OK):
        raise UsageError(f"{option}: {path} cannot be written")
