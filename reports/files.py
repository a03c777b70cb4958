"""Names of what is made from records, and writing it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reports.records import RecordsError

if TYPE_CHECKING:
    from pathlib import Path

PAGE, JUNIT = "report.html", "junit.xml"


def write(path: Path, text: str) -> Path:
    """Write all of a file or nothing, and return its path.

    Raises:
        RecordsError: if it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise RecordsError(f"{path} cannot be written: {error.strerror}") from error
    return path


def check_target(path: Path, option: str) -> None:
    """Find out before a long run whether a file can be appended to at its end.

    Raises:
        RecordsError: if it cannot.
    """
    if not path.parent.is_dir():
        raise RecordsError(f"{option}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise RecordsError(f"{option}: {path} cannot be written")


def append(path: Path, text: str) -> None:
    """Append to a file.

    Raises:
        RecordsError: if it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RecordsError(f"{path} cannot be written: {error.strerror}") from error
