"""`--on`, and what else commands share whose work is spread over machines."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reports.commands import UsageError, as_called
from reports.output.render import render
from reports.saved.files import PAGE
from reports.saved.records import RecordsError
from verify.options import natural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

ADDRESS = re.compile(r"ray(://[\w.\-\[\]:]+:\d+)?")


def add_on(parser: argparse._ActionsContainer) -> None:
    """Add `--on` and `--cpus`."""
    parser.add_argument(
        "--on",
        metavar="ray[://HOST:PORT]",
        help="spread the work over a Ray cluster: the one this machine belongs to (or all CPUs of "
        "this machine), or the one whose Ray Client server this is",
    )
    parser.add_argument(
        "--cpus", type=natural, default=1, metavar="N", help="with --on: CPUs for each process (1)"
    )


def check_on(on: str | None) -> None:
    """Find out whether `--on` names a cluster.

    Raises:
        UsageError: where it does not.
    """
    if on is not None and not ADDRESS.fullmatch(on):
        raise UsageError(f"--on is ray or ray://HOST:PORT, and not {on}")


def show_page(folder: Path) -> None:
    """Make a run's page and tables, and say where the page is; the run is whole without them."""
    try:
        render(folder)
    except RecordsError as error:
        print(f"the report could not be made: {error}", file=sys.stderr)
        return
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    print(f"Report: {shown / PAGE}")


def how_to_resume(command: Sequence[str], folder: Path) -> str:
    """The command line that continues a run that was stopped, in words."""
    words = list(command)
    while "--out" in words:
        place = words.index("--out")
        del words[place : place + 2]
    words = [word for word in words if not word.startswith("--out=")]
    return as_called(f"to go on: {shlex.join([*words, '--out', str(folder)])}")
