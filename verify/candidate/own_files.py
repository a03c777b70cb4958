"""A candidate's own files: which they are, their hashes, and which of them have changed since.

A verdict is one of all code that computed it: a verdict on `model.py` says nothing once `layers.py`
beside it is another. A file is the candidate's own if it lies neither among installed packages nor
in the standard library nor in this tool.

Which files a candidate takes is read from its imports here, without running any of it: so that it
can be asked before a run, by a benchmark, and where nothing may be imported. It finds every
`import` wherever it stands, and `import_module("name")` with a name that is written out; Mojo
sources are its own where the code names their file or folder in a string. What is loaded in other
ways, and data that a candidate opens itself, is not among them.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
from importlib import invalidate_caches
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.saved.home import REPOSITORY
from verify.candidate.factory import named_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Table = dict[str, str]
"""sha256 by path, relative to the working directory where it lies below, else absolute."""

TOOL = ("impl", "reference", "verify", "bench", "reports")
INSTALLED = frozenset({"site-packages", "dist-packages"})
MOJO = frozenset({".mojo", ".🔥", ".mojopkg", ".mojoc"})
LONGEST_NAME = 200
"""Of a file, in letters; a longer string is a text."""
BY_NAME = frozenset({"import_module", "__import__"})
"""Functions that import what their first argument names."""


def table_of_candidate(reference: str, pairing: Path | None = None) -> Table:
    """The hashes of a candidate's own files, as they are now; nothing of it is run.

    Args:
        reference: `FILE.py:NAME` or `package.module:NAME`.
        pairing: its pairing file, which decides what is compared with what; one that is not there
            yet decides nothing.

    Raises:
        verify.candidate.guard.CandidateError: if there is no such file or module.
    """
    pairings = [pairing] if pairing is not None and pairing.is_file() else []
    return table_of([*files_of(named_file(reference)), *pairings])


def table_of_package(folder: Path) -> Table:
    """The hashes of an architecture package: its Python and Mojo files, and what they import."""
    sources = [path for path in sorted(folder.rglob("*")) if path.suffix in {".py", *MOJO}]
    files = (file for path in sources for file in files_of(path))
    return table_of(path for path in files if path.is_file())


def table_of(paths: Iterable[str | Path]) -> Table:
    """The hash of each file; one that cannot be read is left out."""
    absolute = dict.fromkeys(_absolute(path) for path in paths)
    return {_key(path): sha256 for path in absolute if (sha256 := _sha256(path))}


def digest(table: Mapping[str, str]) -> str:
    """One hash of a table, whatever the working directory was and wherever the files lie together.

    What counts is each file's content, and its name below the folder that holds all of them.
    """
    names = {_absolute(key): sha256 for key, sha256 in table.items()}
    top = os.path.commonpath([path.parent for path in names]) if names else ""
    lines = sorted(f"{path.relative_to(top).as_posix()}:{sha}" for path, sha in names.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def described(candidate: str, table: Table) -> dict[str, Any]:
    """What a run's environment tells of its candidate.

    Args:
        candidate: as it was named.
        table: of its own files.
    """
    return {
        "candidate": candidate,
        "candidate_files": table,
        "candidate_sha256": digest(table),
        "directory": str(Path.cwd()),
    }


def changed(table: Mapping[str, str], folder: Path | None = None) -> list[str]:
    """The files of a table that have another content now, or are gone.

    Args:
        table: as it was.
        folder: what its relative paths begin at; None for the working directory.
    """
    start = folder or Path.cwd()
    return [key for key, sha256 in table.items() if _sha256(start / key) != sha256]


def changed_beside(table: Mapping[str, str], file: Path) -> list[str]:
    """The same, where one of the files is known, and may lie elsewhere now with all the others.

    Args:
        table: as it was.
        file: the candidate's file as it is named now.

    Returns:
        Paths of the table; all of them where `file` is none of its files.
    """
    here = _absolute(file)
    for key in table:
        if Path(key).is_absolute() and Path(key) == here:
            return changed(table)
        parts = Path(key).parts
        if not Path(key).is_absolute() and here.parts[-len(parts) :] == parts:
            return changed(table, here.parents[len(parts) - 1])
    return list(table)


def files_of(file: Path) -> list[Path]:
    """A Python file, and every own file that it takes by its imports, directly or not.

    Args:
        file: which is among them, wherever it lies.
    """
    invalidate_caches()
    start = _absolute(file)
    places = list(dict.fromkeys(map(str, (start.parent, Path.cwd(), *filter(None, sys.path)))))
    found: dict[Path, None] = {start: None}
    waiting = [start]
    while waiting:
        for taken in _taken_by(waiting.pop(), places):
            if taken not in found and is_own(taken):
                found[taken] = None
                waiting.append(taken)
    return list(found)


def is_own(file: Path) -> bool:
    """Whether a file is neither installed nor Python's nor this tool's."""
    ours = any(file.is_relative_to(REPOSITORY / name) for name in TOOL)
    library = any(
        file.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")
    )
    return not (ours or library or INSTALLED & set(file.parts))


def _taken_by(file: Path, places: Sequence[str]) -> Iterator[Path]:
    """Files that one file names: modules that it imports, and Mojo sources."""
    if file.suffix != ".py":
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from _modules(alias.name, places)
            case ast.ImportFrom():
                yield from _imported_from(node, file, places)
            case ast.Call(args=[ast.Constant(value=str(module)), *_]) if _imports(node.func):
                yield from _modules(module, places)
            case ast.Constant(value=str(text)):
                yield from _mojo(text, [str(file.parent), *places[:2]])


def _imports(function: ast.expr) -> bool:
    """Whether what is called imports a module by its name: `importlib.import_module`, say."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in BY_NAME


def _imported_from(node: ast.ImportFrom, file: Path, places: Sequence[str]) -> Iterator[Path]:
    """What `from x import y` takes: x, and y where that is a module."""
    if node.level:
        places = [str(file.parents[node.level - 1])] if node.level <= len(file.parents) else []
        yield from _package(places)
    base = node.module or ""
    yield from _modules(base, places)
    for alias in node.names:
        yield from _modules(f"{base}.{alias.name}".lstrip("."), places)


def _package(places: Sequence[str]) -> Iterator[Path]:
    """The file of a package that a relative import begins at."""
    yield from (file for place in places if (file := Path(place) / "__init__.py").is_file())


def _modules(name: str, places: Sequence[str]) -> Iterator[Path]:
    """The files of a module and of the packages that it is in, as far as there are any."""
    inside: Sequence[str] | None = places
    for part in name.split(".") if name else ():  # alone: its packages need not be imported
        spec = PathFinder.find_spec(part, inside)
        if spec is None:
            return
        if spec.origin and spec.has_location:
            yield _absolute(spec.origin)
        inside = list(spec.submodule_search_locations or ())


def _mojo(text: str, places: Sequence[str]) -> Iterator[Path]:
    """The Mojo sources of a file or a folder that a string names."""
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        return
    for named in (Path(place) / text for place in places):
        if named.suffix in MOJO and named.is_file():
            yield _absolute(named)
        elif named.is_dir() and _is_mojo_package(named):
            files = (path for path in sorted(named.rglob("*")) if path.suffix in MOJO)
            yield from (_absolute(path) for path in files if path.is_file())


def _is_mojo_package(folder: Path) -> bool:
    """Whether Mojo sources lie right in it: any other folder may be as large as a disk."""
    try:
        return any(path.suffix in MOJO for path in folder.iterdir())
    except OSError:
        return False


def _absolute(path: str | Path) -> Path:
    """Without `..`, so that one file has one name."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps `..`


def _key(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _sha256(path: Path) -> str:
    """The hash of a file's content; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
