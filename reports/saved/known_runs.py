"""Runs whose folders a user has chosen (`--out`), so that they are found where others are.

`known_runs.jsonl` lies beside `runs/`: one line for each such run, with its absolute path. Lines of
folders that are gone are left out when the next one is written.
"""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reports.saved.home import make_root

if TYPE_CHECKING:
    from typing import TextIO

FILE = "known_runs.jsonl"


def remember(root: Path, folder: Path, records: str) -> None:
    """Add a run's folder.

    Args:
        root: holds `runs/`.
        folder: of the run.
        records: name of the file that a folder has as long as the run is there.

    Raises:
        OSError: where the file cannot be written.
    """
    make_root(root)
    with (root / FILE).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = _read(file)
        still = [
            one for one in dict.fromkeys([*before, folder.resolve()]) if (one / records).exists()
        ]
        file.truncate(0)
        file.writelines(json.dumps({"folder": str(one)}) + "\n" for one in still)


def known(root: Path) -> list[Path]:
    """The folders that were remembered, those that are gone among them."""
    try:
        with (root / FILE).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return _read(file)
    except OSError:
        return []


def _read(file: TextIO) -> list[Path]:
    """The folders of a file; a line that was cut off is left out."""
    file.seek(0)
    found = []
    for line in file:
        with suppress(ValueError, KeyError, TypeError):
            found.append(Path(json.loads(line)["folder"]))
    return found
