"""Custom operations are checked against MAX's kernels once, however often a package is opened.

MAX checks each custom operation when it is traced, which takes half a second each time and nearly
all of the time that opening a tiny model takes. An operation that is written the same, of the same
types and parameters, passes again, so that it is not asked for again: sizes apart, which no kernel
has decided anything by so far. What MAX refuses is refused each time.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from max.graph import KernelLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator

_passed: set[tuple[tuple[str, ...], str]] = set()
"""Kernel libraries with an operation that they have."""


@contextmanager
def checked_once() -> Iterator[None]:
    """While this lasts, MAX checks no custom operation twice in a process."""
    check = KernelLibrary.verify_custom_op

    def checked(library: Any, operation: Any) -> None:
        key = (tuple(map(str, library.library_paths())), _written(operation))
        if key not in _passed:
            check(library, operation)
            _passed.add(key)

    KernelLibrary.verify_custom_op = checked
    try:
        yield
    finally:
        KernelLibrary.verify_custom_op = check


def _written(operation: Any) -> str:
    """An operation's symbol, parameters and types, without sizes and the numbers of its values."""
    return re.sub(r"(?<=[\[ ])\d+(?=[,\]])", "size", re.sub(r"%[\w#:]+", "%", str(operation)))
