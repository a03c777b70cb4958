"""The command line: `python -m reference train`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reports.commands import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command line, and return the exit code."""
    parser = Parser(prog="python -m reference", description="Ground truth.")
    parser.add_argument("command", choices=["train"], help="make the embedded checkpoint anew")
    parser.parse_args(argv[:1])
    from reference import train  # torch, which a mistake need not wait for

    return train.main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
