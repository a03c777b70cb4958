"""Files of a learner that import each other: `from step_01 import GPT2Config`.

While a file is loaded its folder and the folder above are importable, so that `step_01` is the file
beside it, and `solutions.solution_03` a file of a folder beside its own.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_STEPS = re.compile(r"(step|solution)s?(_?\d+)?(\.|$)", re.IGNORECASE)
"""Begins the name of a module that a learner's file may import, and another learner's too."""


@contextmanager
def importable(file: Path) -> Iterator[None]:
    """A learner's file can import those beside it, and those of folders beside its own.

    Args:
        file: that is loaded in this context.
    """
    folders = [str(file.resolve().parent), str(file.resolve().parents[1])]
    _forget_others(folders)
    before = list(sys.path)
    sys.path[:0] = folders
    try:
        yield
    finally:
        sys.path[:] = [*before, *(path for path in sys.path if path not in {*before, *folders})]


def _forget_others(folders: list[str]) -> None:
    """Modules of the same names from other folders give way."""
    for name, module in list(sys.modules.items()):
        known = getattr(
            module, "__dict__", {}
        )  # asked for by name, a lazy module would import more
        where = known.get("__file__") or next(iter(known.get("__path__") or ()), "")
        if OF_STEPS.match(name) and where and not _is_of(name, where, folders):
            del sys.modules[name]


def _is_of(name: str, where: str, folders: list[str]) -> bool:
    """Whether a module is the one that these folders give, and not one of a folder in them."""
    places = [str(Path(folder, *name.split("."))) for folder in folders]
    return where in {f"{place}{end}" for place in places for end in ("", ".py", "/__init__.py")}


def where_it_lies(name: str, file: Path) -> str:
    """The file that a missing module would be, where a folder beside the learner's holds it.

    Args:
        name: of the module, as it was imported.
        file: that imports it.
    """
    beside = file.resolve().parents[1].glob(f"*/{name.replace('.', '/')}.py")
    found = sorted(beside)
    return f"{found[0].parent.name}/{found[0].name}" if len(found) == 1 else ""
