"""A command line as a program: what each of the five does the same before and after its work."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from reports.commands import CLOSED_PIPE
from reports.pipe import patient, reader_left
from reports.saved.answer import answered
from reports.saved.versions import version_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def as_program(name: str, main: Callable[[Sequence[str]], int], *, to_the_end: bool = True) -> int:
    """Run a command line with the words that the process was started with.

    `--version` is answered here; `--json` keeps its promises (`reports.saved.answer`); where the
    reader of the output goes away, the program ends with `CLOSED_PIPE` and no further word.

    Args:
        name: `verify`, `bench`, ...
        main: takes the words, and returns the exit code.
        to_the_end: whether the program goes on without a reader, to write what it has found; else
            it ends there.

    Returns:
        The exit code.
    """
    argv = sys.argv[1:]
    code = CLOSED_PIPE
    with suppress(BrokenPipeError), patient(to_the_end=to_the_end):
        code = _version() if argv == ["--version"] else _code(name, main, argv)
    return CLOSED_PIPE if reader_left() else code


def _version() -> int:
    print(version_line())
    return 0


def _code(name: str, main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    try:
        return answered(name, main, argv)
    except SystemExit as end:  # argparse's: bad usage, or --help
        if end.code is not None and not isinstance(end.code, int):
            raise
        return end.code or 0
