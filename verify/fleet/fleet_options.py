"""`--on`, and what else commands share whose work is spread over machines."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from reports.commands import UsageError, as_called

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

ADDRESS = re.compile(r"ray(://[\w.\-\[\]:]+:\d+)?")


def add_on(parser: argparse._ActionsContainer) -> None:
    """Add `--on`."""
    parser.add_argument(
        "--on",
        metavar="ray[://HOST:PORT]",
        help="spread the work over a Ray cluster: the one this machine belongs to (or all CPUs of "
        "this machine), or the one whose Ray Client server this is",
    )


def check_on(on: str | None) -> None:
    """Find out whether `--on` names a cluster.

    Raises:
        UsageError: where it does not.
    """
    if on is not None and not ADDRESS.fullmatch(on):
        raise UsageError(f"--on is ray or ray://HOST:PORT, and not {on}")


def how_to_resume(command: Sequence[str], folder: Path) -> str:
    """The command line that goes on with a run which was stopped, in words."""
    words = list(command)
    while "--out" in words:
        place = words.index("--out")
        del words[place : place + 2]
    words = [word for word in words if not word.startswith("--out=")]
    return as_called(f"to go on: {shlex.join([*words, '--out', str(folder)])}")
