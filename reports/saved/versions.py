"""`--version`: which version of this tool, on which MAX and which PyTorch. Neither is imported."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from reports.saved.environment import package_version
from reports.saved.home import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

INSTALLED = "max-parity"
"""The name of the installed distribution."""


def version_line() -> str:
    """One line: `max-parity 0.1.0, MAX 26.7.0, PyTorch 2.13.0`."""
    found = {"MAX": package_version("max"), "PyTorch": package_version("torch")}
    others = (f"{name} {version or 'not installed'}" for name, version in found.items())
    return ", ".join([f"{INSTALLED} {tool_version()}", *others])


def tool_version() -> str:
    """Of the source that runs, from its pyproject.toml, or else of the installed distribution."""
    project = REPOSITORY / "pyproject.toml"
    return _declared(project) or package_version(INSTALLED) or "unknown"


def _declared(project: Path) -> str:
    try:
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return ""
