"""What a run wrote, by hash: `manifest.json` in its folder.

A run writes it once, right after its last record: how many bytes its records have, their sha256,
and those of every other file that lies beside them by then (`files`). What is made of the records
afterwards, the page and the tables, is listed apart (`made`), and again whenever it is made again.

It shows accidents: a file that was cut off, edited, or mixed up with another run's. It is no
signature: whoever changes a record can write another manifest.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FILE = "manifest.json"


def seal(folder: Path) -> None:
    """Write down what a run's folder holds at the end of the run.

    Raises:
        OSError: where it cannot be read or written.
    """
    _write(folder, {"files": _hashes(folder, _files(folder))})


def note_made(folder: Path, files: Iterable[Path]) -> None:
    """Write down what was made of a run's records, where the run has a manifest.

    Raises:
        OSError: where it cannot be read or written.
    """
    found = read(folder)
    if found is not None:
        _write(folder, {**found, "made": _hashes(folder, files)})


def read(folder: Path) -> dict[str, Any] | None:
    """A run's manifest; None where it has none, or one that cannot be read."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else None


def differences(folder: Path, records: str) -> list[str]:
    """What is not as the run wrote it, a sentence each.

    Args:
        folder: of the run.
        records: name of the file that may have grown since, by what could not be made of it.
    """
    found = read(folder)
    if found is None:
        why = "it was interrupted, or is of format 4 or older"
        return [f"it has no {FILE}, so that it cannot be compared with what was written: {why}"]
    told = {**found["files"], **found.get("made", {})}
    return [
        sentence
        for name, entry in told.items()
        if (sentence := _difference(folder / name, name, entry, may_grow=name == records))
    ]


def _difference(path: Path, name: str, entry: Mapping[str, Any], *, may_grow: bool) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        return f"{name} is gone"
    size = entry["bytes"]
    rest = content[size:]
    if _sha256(content[:size]) != entry["sha256"] or (rest and not may_grow):
        return f"{name} is not as the run wrote it"
    if any(b'"record": "problem"' not in line for line in rest.splitlines()):
        return f"{name} has records after its end"
    return ""


def _files(folder: Path) -> Iterator[Path]:
    """Everything below a folder, but the manifest."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return (path for path in files if path != folder / FILE)


def _hashes(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    return {str(path.relative_to(folder)): _entry(path.read_bytes()) for path in files}


def _entry(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": _sha256(content)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / FILE)
