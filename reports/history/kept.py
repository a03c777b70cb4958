"""Every run of a folder, of which only those are read that are new or changed.

A run of a megabyte takes 40 ms to read, and of ten thousand none but the last is new.
`history.jsonl` beside `runs/` keeps what the pages need of each: a line a run, with the size and
the time of its records, and a hash of the program that read them. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from reports.history.entries import Entry, read_entry
from reports.saved.files import write
from reports.saved.records import RECORDS, RecordsError
from reports.waiting import EVERY_S, about, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = "history.jsonl"

READ_BY = ("saved", "tables", "figures", "pages", "history")
"""Rooms of this package whose code decides what is kept of a run."""

SAVED_EVERY_S = 20.0
"""Seconds after which what was read so far is kept, in a first reading that takes minutes."""


class Kept(Struct, frozen=True, kw_only=True):
    """A line of the file.

    Attributes:
        size, changed_ns: of the run's records when they were read; -1 where there were none.
        program: `program_sha256` of what read them.
        entry: what they say.
    """

    size: int
    changed_ns: int
    program: str
    entry: Entry

    @property
    def state(self) -> tuple[int, int, str]:
        """What must be as it was for the entry to hold."""
        return self.size, self.changed_ns, self.program


def read_entries(runs: Path) -> list[Entry]:
    """Every run below a folder, oldest first; one that cannot be read says why."""
    folders = sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    kept = _read(runs.parent / FILE)
    found = dict(_up_to_date(folders, kept, runs.parent / FILE))
    if found != kept:
        _save(runs.parent / FILE, found)
    entries = [one.entry for one in found.values()]
    return sorted(entries, key=lambda entry: (entry.started, entry.identity))


def _up_to_date(
    folders: list[Path], kept: Mapping[str, Kept], file: Path
) -> Iterator[tuple[str, Kept]]:
    """What is kept of each run, read where it is not kept or no longer holds."""
    program = program_sha256()
    states = {folder: (*_state(folder), program) for folder in folders}
    missing = sum(_unlike(kept.get(folder.name), state) for folder, state in states.items())
    started = said = saved = time.monotonic()
    done, fresh = 0, dict(kept)
    for folder, state in states.items():
        one = kept.get(folder.name)
        if one is None or _unlike(one, state):
            size, changed_ns, _ = state
            entry = read_entry(folder)
            one = Kept(size=size, changed_ns=changed_ns, program=program, entry=entry)
            fresh[folder.name] = one
            done, now = done + 1, time.monotonic()
            if now - said > EVERY_S:
                left = about((now - started) / done * (missing - done))
                print_line(f"reports: {done:,} of {missing:,} runs read, about {left} left")
                said = now
            if now - saved > SAVED_EVERY_S:
                _save(file, fresh)
                saved = now
        yield folder.name, one


def _unlike(kept: Kept | None, state: tuple[int, int, str]) -> bool:
    return kept is None or kept.state != state


def _state(folder: Path) -> tuple[int, int]:
    """Size and time of the records of a run."""
    try:
        found = (folder / RECORDS).stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def program_sha256() -> str:
    """Hash of the code that reads a run, shortened."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for file in sorted(file for room in READ_BY for file in (root / room).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _read(file: Path) -> dict[str, Kept]:
    """By folder; nothing of a line that cannot be read."""
    decoder = msgspec.json.Decoder(Kept)
    found = {}
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            one = decoder.decode(line)
        except (msgspec.DecodeError, ValueError):
            continue
        found[one.entry.folder] = one
    return found


def _save(file: Path, kept: Mapping[str, Kept]) -> None:
    """Write all of it; where that is not allowed, the next reading takes as long as this one."""
    encoder = msgspec.json.Encoder()
    try:
        write(file, "".join(encoder.encode(one).decode() + "\n" for one in kept.values()))
    except RecordsError as error:
        print(f"reports: what was read is not kept: {error}", file=sys.stderr)
