"""Names of what is made from records, and writing it."""

from __future__ import annotations

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
