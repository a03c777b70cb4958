"""Names of what is made from records, and writing it: a file whole or not at all."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.commands import STDOUT
from reports.saved.records import RecordsError, strict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE, JUNIT = "report.html", "junit.xml"

ANSWER = "MAX_PARITY_ANSWER"
"""Environment variable with the file that stands for `--json -`: whoever set it prints the file at
its end, so that whatever else goes to standard output cannot get in between."""


@contextmanager
def whole(path: Path, option: str = "") -> Iterator[Path]:
    """Where to write what shall appear under a name only when it is complete.

    Args:
        path: the file's name.
        option: that named it, for the sentence.

    Yields:
        Another name in the same folder, which takes the file's place at the end.

    Raises:
        RecordsError: if it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        what = f"{option}: {path}" if option else str(path)
        raise RecordsError(f"{what} cannot be written: {error.strerror or error}") from error


def write(path: Path, text: str, option: str = "") -> Path:
    """Write all of a text file or nothing, and return its path; errors as `whole` raises them."""
    with whole(path, option) as part:
        part.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write what `--json` asked for; what is not finite is a string, as in records.

    Raises:
        RecordsError: if the file cannot be written.
    """
    text = json.dumps(strict(values), indent=1, allow_nan=False) + "\n"
    write(json_file(path), text, "--json")


def json_file(path: Path) -> Path:
    """The file that `--json` writes to: the one that is named, or what stands for `-`."""
    return Path(os.environ[ANSWER]) if path == STDOUT and ANSWER in os.environ else path


def comparison_file(one: Path, other: Path, ending: str) -> Path:
    """Where a comparison of two runs lies unless it is put elsewhere: in the second's folder."""
    return other / f"compare-{one.resolve().name}.{ending}"


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
