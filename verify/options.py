"""Options that several commands of `verify` share, read and checked before anything is written.

Neither MAX nor torch is imported here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from verify.sandbox import OWN_CODE_S

WIDTH = 100
"""Columns of what is printed, where nobody's terminal says otherwise."""


class UsageError(ValueError):
    """An option that cannot be carried out, told in one sentence."""


def plain_console() -> Console:
    """Prints in the width of the terminal, or in `WIDTH` columns; numbers are not coloured."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add `--time-limit` and `--memory-limit`, which `verify.sandbox` keeps."""
    parser.add_argument(
        "--time-limit",
        type=positive,
        metavar="S",
        help=f"seconds that the candidate's own code may take at a stretch ({OWN_CODE_S:g})",
    )
    parser.add_argument(
        "--memory-limit",
        type=positive,
        metavar="GiB",
        help="memory that a candidate may take (80%% of what is free)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the outcome as JSON")


def positive(text: str) -> float:
    """A positive, finite number, for argparse."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def check_json(path: Path | None) -> None:
    """Whether `--json` can be written, where it is given.

    Raises:
        UsageError: if it cannot.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise UsageError(f"--json: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"--json: {path} cannot be written")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write all of it or nothing.

    Raises:
        UsageError: where it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"--json: {path} cannot be written: {error.strerror}") from error
