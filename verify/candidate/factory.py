"""Finding the candidate that a user names: `path/to/model.py:ClassOrFunction`."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify.candidate.guard import CandidateError, guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def load_factory(reference: str) -> Callable[[Any], Any]:
    """Import `FILE.py:NAME` or `package.module:NAME` and return what NAME is.

    Raises:
        CandidateError: if there is no such file, name or module, or importing it fails.
    """
    where, name = _parts(reference)
    with guarded(f"importing {where}"):
        module = (
            _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
    if not hasattr(module, name):
        raise CandidateError(f"{where} has no {name}")
    factory: Callable[[Any], Any] = getattr(module, name)
    if not callable(factory):
        raise CandidateError(f"{name} in {where} is neither a class nor a function")
    return factory


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise CandidateError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"candidate_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CandidateError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))  # for files next to it
    spec.loader.exec_module(module)
    return module


def named_file(reference: str) -> Path:
    """The file that `FILE.py:NAME` or `package.module:NAME` is in; nothing is imported.

    Raises:
        CandidateError: if there is no such file or module.
    """
    where, _ = _parts(reference)
    path = Path(where) if where.endswith(".py") else _module_file(where)
    if path is None:
        raise CandidateError(f"there is no module {where}")
    if not path.is_file():
        raise CandidateError(f"there is no file {path}")
    return path


def _parts(reference: str) -> tuple[str, str]:
    where, colon, name = reference.rpartition(":")
    if not colon or not where or not name:
        raise CandidateError(
            f"--candidate {reference!r} is not FILE.py:NAME or package.module:NAME"
        )
    return where, name


def _module_file(name: str) -> Path | None:
    """Where a module lies, found without running the packages that it is in."""
    places = None
    spec = None
    for part in name.split("."):  # alone: its packages need not be imported
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = spec.submodule_search_locations or []
    return Path(spec.origin) if spec and spec.origin else None
