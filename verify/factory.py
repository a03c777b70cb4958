"""Finding the candidate that a user names: `path/to/model.py:ClassOrFunction`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify.guard import CandidateError, guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def load_factory(reference: str) -> Callable[[Any], Any]:
    """Import `FILE.py:NAME` or `package.module:NAME` and return what NAME is.

    Raises:
        CandidateError: if there is no such file, name or module, or importing it fails.
    """
    where, colon, name = reference.rpartition(":")
    if not colon or not where or not name:
        raise CandidateError(
            f"--candidate {reference!r} is not FILE.py:NAME or package.module:NAME"
        )
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
    sys.path.insert(0, str(path.resolve().parent))  # for what lies beside the file
    spec.loader.exec_module(module)
    return module
