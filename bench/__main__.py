"""Entry point of `python -m bench`."""

import sys

from bench.cli import main
from reports.program import as_program

if __name__ == "__main__":
    sys.exit(as_program("bench", main))
