"""Where the reader of the output goes away (`| head`), nothing fails, and nothing is said of it.

The program goes on, because what it writes to a run's folder must not depend on who reads its
table; what it prints from then on goes nowhere, and it ends as a shell counts SIGPIPE
(`CLOSED_PIPE`). The signal itself would end a program also where one of its workers has died.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEFT: list[int] = []
"""Descriptors whose reader has gone away."""


class _Patient(io.FileIO):
    """A descriptor that is replaced by the null device once nobody reads it any more.

    Attributes:
        ends: whether that is an error for who writes, once.
    """

    ends = False

    def write(self, data: Any, /) -> Any:
        try:
            return super().write(data)
        except BrokenPipeError:
            _let_go(self.fileno())
            if self.ends:
                raise
            return memoryview(data).nbytes


def _let_go(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
    _LEFT.append(descriptor)


def reader_left() -> bool:
    """Whether anything that this process has printed found no reader."""
    return bool(_LEFT)


def stream(descriptor: int, *, ends: bool = False, **kind: Any) -> io.TextIOWrapper:
    """A text stream on an open descriptor, without an error where its reader goes away.

    Args:
        descriptor: stays open when the stream is closed.
        ends: let that be a `BrokenPipeError` after all, once: nobody needs what is to come.
        kind: what `io.TextIOWrapper` takes: encoding, buffering, what to do on errors.
    """
    raw = _Patient(descriptor, "w", closefd=False)
    raw.ends = ends
    return io.TextIOWrapper(io.BufferedWriter(raw), **kind)


@contextmanager
def patient(*, to_the_end: bool = True) -> Iterator[None]:
    """Standard output and error as such streams; those that were replaced already stay.

    Args:
        to_the_end: whether the program goes on without a reader.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _own(sys.stdout, ends=not to_the_end), _own(sys.stderr)
    try:
        yield
    finally:
        for one in (sys.stdout, sys.stderr):
            one.flush()
        sys.stdout, sys.stderr = before


def _own(now: Any, *, ends: bool = False) -> Any:
    """A patient stream in place of one of Python's own."""
    if now not in (sys.__stdout__, sys.__stderr__) or now is None:
        return now
    now.flush()
    return stream(
        now.fileno(),
        ends=ends,
        encoding=now.encoding,
        errors=now.errors,
        line_buffering=now.line_buffering,
        write_through=now.write_through,
    )
