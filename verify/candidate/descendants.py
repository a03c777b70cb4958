"""Processes that a candidate's process has started, and their end.

A process can leave its session and lose its parent. On Linux a process that adopts orphans becomes
the parent of those below it, so that none slips away; elsewhere such a process goes on.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import subprocess

GRACE_S = 5.0
"""How long a process that was killed may take to go, in seconds."""

PASSES = 100
"""How often what was started is looked for and ended."""

_PR_SET_CHILD_SUBREAPER = 36

_started: set[int] = set()
"""Processes of `Descendants` that have not ended."""


class ClingingError(Exception):
    """A process that was started cannot be ended."""

    def __str__(self) -> str:
        return "what it started keeps running, however often it is killed"


class Descendants:
    """What a process starts, watched from before it is started."""

    def __init__(self) -> None:
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._before = {child.pid for child in psutil.Process().children()}

    def of(self, process: subprocess.Popen[bytes]) -> None:
        """Say which process it is, as soon as it runs; it leads its own session."""
        self._process = process
        _started.add(process.pid)

    def end(self) -> None:
        """End the process, and every process that it has started; a second time does nothing.

        Raises:
            ClingingError: where one of them cannot be ended.
        """
        if self._process.pid not in _started:
            return
        started = _below(self._process.pid)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        _started.discard(self._process.pid)
        _kill([each for each in started if each.pid != self._process.pid])
        for _ in range(PASSES):
            if not (orphans := self._orphans()):
                return
            _kill(orphans)
        raise ClingingError

    def _orphans(self) -> list[psutil.Process]:
        """What lost its parent, and has this process for one since; it was not started here."""
        known = self._before | _started
        children = psutil.Process().children()
        return [each for child in children if child.pid not in known for each in _below(child.pid)]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, GRACE_S)


def _below(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, and they."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []
