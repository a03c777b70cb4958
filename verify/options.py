"""Options that several commands of `verify` share, read and checked before anything is written.

Neither MAX nor torch is imported here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from verify.candidate.sandbox import OWN_CODE_S


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add `--time-limit` and `--memory-limit`, which `verify.candidate.sandbox` keeps."""
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
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
