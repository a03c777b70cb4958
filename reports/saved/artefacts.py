"""The arrays that a verification saved next to its records; any of them may be missing."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]

FILE = "artefacts.npz"
_DAMAGED = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Arrays by path, and why there are none.

    Attributes:
        arrays: as `reports/SCHEMA.md` lists them.
        problem: a sentence for the page, empty where all is well.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    problem: str = ""

    def below(self, path: str) -> dict[str, Array]:
        """The arrays below a path, by the rest of theirs."""
        start = path.rstrip("/") + "/"
        found = {name: array for name, array in self.arrays.items() if name.startswith(start)}
        return {name.removeprefix(start): array for name, array in found.items()}

    def owners(self, part: str) -> list[str]:
        """The cases (or devices) that have arrays below `part`, in the order of the file."""
        names = (name.split("/") for name in self.arrays)
        return list(dict.fromkeys(name[0] for name in names if len(name) > 2 and name[1] == part))


def read_artefacts(folder: Path) -> Artefacts:
    """Read a run's arrays; a file that is not there or is damaged leaves a sentence."""
    path = folder / FILE
    if not path.is_file():
        return Artefacts(problem=f"This run saved no {FILE}.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return Artefacts({name: saved[name] for name in saved.files})
    except (OSError, ValueError, LookupError, EOFError, TypeError, *_DAMAGED):
        return Artefacts(problem=f"{FILE} is damaged, so the figures made from it are missing.")
