"""How a process of the harness is started: its command, and an environment where it finds itself.

The five folders have common names, and a user may well have a package called `reports`. So they
come first on the path of the harness's processes, before `PYTHONPATH` of the user's, and the
working directory is on it last (`reports.commands.working_directory_last`).
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "max-parity"
"""The command, and the distribution."""

INSTALLED = "_code"
"""The folder of the wheel that holds the five."""

PROGRAM = "MAX_PARITY_PROGRAM"
"""Environment variable: how the harness calls its commands in what it says, `max-parity`."""


def code_folder() -> Path:
    """The folder that holds `verify`, `impl`, `reference`, `bench` and `reports`."""
    here = Path(__file__).resolve().parent
    inside = here / INSTALLED
    return inside if inside.is_dir() else here.parents[1]


def command(words: Sequence[str]) -> list[str]:
    """What runs `max-parity WORDS`: `python -P -m verify ...`."""
    return [sys.executable, "-P", "-m", *words]


def environment() -> dict[str, str]:
    """This process's environment, with our folders first on the path, in children too."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    code = str(code_folder())
    path = [code, *(each for each in before if each not in ("", code))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONSAFEPATH": "1",
        PROGRAM: NAME,
    }


def own_version() -> str:
    """Of this project: as it is installed, or as the clone's pyproject.toml has it."""
    project = code_folder() / "pyproject.toml"
    if project.is_file():
        import tomllib

        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return installed(NAME) or "unknown"


def installed(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
