"""Packages for tests: copies of MAX's built-in ones with a line of them changed."""

from __future__ import annotations

import itertools
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from max.pipelines import architectures
from max.pipelines.lib.arch_lookup import ARCH_LOOKUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUILT_IN = Path(architectures.__file__).parent
_numbers = itertools.count()

Edit = tuple[str, str, str]
"""A file of the package, what stands there, and what shall stand there instead."""


def custom_package(
    target: Path, name: str = "llama3", *, v3: bool = False, edits: Sequence[Edit] = ()
) -> Path:
    """Copy a built-in package and change it.

    Args:
        target: the folder that the package's folder is made in.
        name: of the built-in package, such as "llama3".
        v3: whether the one of `max.experimental.nn` is copied.
        edits: each must find what it replaces.

    Returns:
        The package's folder, as `max serve --custom-architectures` takes it. It registers the
        built-in architecture's own name, so that it takes its place: see `own_registry`.
    """
    source = BUILT_IN / (f"{name}_modulev3" if v3 else name)
    folder = target / f"{name}_copy_{next(_numbers)}"  # MAX imports it by this name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "recipes"))
    for file in folder.rglob("*.py"):
        text = file.read_text()
        file.write_text(text.replace("from ..", "from max.pipelines.architectures.")
                        if file.parent == folder else text)  # fmt: skip
    own = f"from max.pipelines.architectures.{source.name}."
    for file in folder.rglob("*.py"):
        file.write_text(file.read_text().replace(own, f"from {folder.name}."))
    for path, old, new in edits:
        _edit(folder / path, old, new)
    _expose(folder / "__init__.py")
    return folder


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file.name} has no {old!r}"
    file.write_text(text.replace(old, new))


def _expose(file: Path) -> None:
    """Name the architectures that a package registers."""
    text = file.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("from .arch import ")]
    file.write_text(f"{text}\nARCHITECTURES = [{line.removeprefix('from .arch import ')}]\n")


@contextmanager
def own_registry() -> Iterator[None]:
    """While this lasts, packages may take the place of built-in ones; then those are back."""
    kept = {name: value.copy() for name, value in vars(ARCH_LOOKUP).items() if _is_table(value)}
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(ARCH_LOOKUP, name, value)


def _is_table(value: object) -> bool:
    return isinstance(value, dict | set | list)
