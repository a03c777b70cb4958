"""Where this code lies, and where runs go.

In a clone runs go to `reports/`, as they always did; where the tool is installed, to `.max-parity`
in the working directory, which is the user's. `$MAX_PARITY_RUNS` names another folder for both.
Each holds `runs/`, `latest/` with a link to the newest run of each kind, and `index.html`.
"""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
"""Holds `verify`, `impl`, `reference`, `bench` and `reports`: a clone, or a folder of the wheel."""

CLONE = REPOSITORY.name != "_code"
"""Whether it is a clone: a wheel has the five in `max_parity/_code` (setup.py)."""

VARIABLE = "MAX_PARITY_RUNS"
INSTALLED = ".max-parity"


def runs_root() -> Path:
    """The folder that holds `runs/` and `latest/`; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    return REPOSITORY / "reports" if CLONE else Path.cwd() / INSTALLED


def published_root() -> Path:
    """The folder that `published/` is made in; it is committed, and so not in `.max-parity`."""
    return runs_root() if CLONE or os.environ.get(VARIABLE) else Path.cwd()


def make_root(root: Path) -> None:
    """Make that folder where it is not there, with a .gitignore that keeps git out of it.

    Raises:
        OSError: if it cannot be made.
    """
    if not root.exists():
        root.mkdir(parents=True)
        (root / ".gitignore").write_text("*\n", encoding="utf-8")
