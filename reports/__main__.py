"""`python -m reports [RUN ...]`: make the tables again, from saved records alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from reports.records import ROOT, RecordsError
from reports.tables import render

if TYPE_CHECKING:
    from collections.abc import Sequence


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 2 with one sentence where a run cannot be rendered."""
    parser = Parser(prog="python -m reports", description="Render the tables of saved runs again.")
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="folders (default: reports/latest/*)"
    )
    try:
        for folder in parser.parse_args(argv).runs or newest_runs(ROOT):
            for file in render(folder):
                print(file)
    except RecordsError as error:
        print(f"reports: {error}", file=sys.stderr)
        return 2
    return 0


def newest_runs(root: Path) -> list[Path]:
    """The newest run of each kind; one whose folder was deleted since is left out.

    Raises:
        RecordsError: if there is none.
    """
    latest = root / "latest"
    links = sorted(latest.iterdir()) if latest.is_dir() else []
    runs = [link.resolve() for link in links if link.is_dir()]
    if not runs:
        raise RecordsError(
            "there are no runs yet: `python -m verify` or `python -m bench` make one"
        )
    return runs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
