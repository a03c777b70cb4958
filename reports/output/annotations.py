"""What a CI shows beside the user's source: workflow commands of GitHub Actions.

`python -m verify --json FILE` tells the place of what went wrong where it is known: the operation
of the graph that departs first, or the last line of the candidate's that raised something.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.saved.records import RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST = 8
"""GitHub shows ten annotations of a step."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One remark.

    Attributes:
        level: `error` or `notice`.
        title, text: what it says.
        file: relative to the repository; "" where it belongs to no file of it.
        line: counted from 1; 0 where it is not known.
    """

    level: str
    title: str
    text: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        """As GitHub Actions reads it from a step's output."""
        values = {"file": self.file, "line": str(self.line or ""), "title": self.title}
        if not self.file:
            del values["line"]
        told = ",".join(f"{key}={_property(value)}" for key, value in values.items() if value)
        return f"::{self.level} {told}::{_data(self.text)}"


def remarks(told: Mapping[str, Any], root: Path) -> list[Annotation]:
    """The remarks on a verification.

    Args:
        told: what `--json` wrote.
        root: of the repository; files elsewhere are not named.
    """
    verdict = str(told.get("verdict"))
    if verdict == "PASS":
        compared = (told.get("coverage") or {}).get("compared")
        return [Annotation("notice", "max-parity: PASS", f"{compared} places compared")]
    title = f"max-parity: {verdict}"
    if verdict == "ERROR" and told.get("reason"):
        return [Annotation("error", title, str(told["reason"]), *_error_place(told, root))]
    found = list(_divergences(told, root)) or list(_failed(told))
    return [Annotation("error", title, *each) for each in found[:MOST]]


def read(path: Path) -> dict[str, Any]:
    """What `--json` wrote.

    Raises:
        RecordsError: if it cannot be read.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from error
    if not isinstance(told, dict) or "verdict" not in told:
        raise RecordsError(f"{path} was not written by `--json`: it has no verdict")
    return told


def workspace() -> Path:
    """The root of the repository that a CI has checked out, or the working directory."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())


def _divergences(told: Mapping[str, Any], root: Path) -> Iterator[tuple[str, str, int]]:
    """The first divergence with its place, and what else was found: text, file, line."""
    first = told.get("first_divergence")
    if not first:
        return
    file, line = _graph_place(told, root)
    said = [first["message"], first.get("diagnosis"), first.get("blame")]
    yield "\n".join(filter(None, said)), file or _candidate_file(told, root), line
    for finding in told.get("findings") or []:
        if finding["text"] != first.get("diagnosis"):
            yield finding["text"], _candidate_file(told, root), 0


def _failed(told: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Checks that did not pass, where no place diverges."""
    for check in told.get("checks") or []:
        if check["verdict"] in ("FAIL", "ERROR", "UNDERPOWERED"):
            what = check["case"] or check["mode"]
            yield f"{what}: {check['message'] or check['verdict']}", "", 0


def _graph_place(told: Mapping[str, Any], root: Path) -> tuple[str, int]:
    graph = told.get("graph") or {}
    for operation in graph.get("operations") or []:
        if operation["departs"] and (file := _within(operation.get("file"), root)):
            return file, operation.get("line") or 0
    return "", 0


def _error_place(told: Mapping[str, Any], root: Path) -> tuple[str, int]:
    place = told.get("place") or {}
    file = _within(place.get("file"), root)
    return file, (place.get("line") or 0) if file else 0


def _candidate_file(told: Mapping[str, Any], root: Path) -> str:
    candidate = str((told.get("environment") or {}).get("candidate", ""))
    where = candidate.rpartition(":")[0]
    return _within(where, root) if where.endswith(".py") else ""


def _within(file: str | None, root: Path) -> str:
    """A file relative to the repository; "" for one that is not in it."""
    path = Path(file).resolve() if file else None
    if path is None or not path.is_file() or not path.is_relative_to(root.resolve()):
        return ""
    return path.relative_to(root.resolve()).as_posix()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
