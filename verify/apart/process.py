"""A process apart that the harness asks, and that ends with the harness.

It gets no more than its socket: no file that the harness has open, nothing to print to but a file
that is shown where it dies, and of the environment nothing that belongs to the harness. It stands
behind a fence (`verify.apart.fence`), with a folder of its own for temporary files.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from impl.precompile import cache_folder
from reports.commands import end_with_parent
from verify.apart.fence import WRITABLE
from verify.apart.wire import Wire
from verify.candidate.sandbox import STANDBY, STATUS, adopt_orphans, died, last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the five packages."""

PACKAGES = ("bench", "impl", "reference", "reports", "verify")

GRACE_S = 5.0
"""How long a process that is told to end may take, in seconds."""

FENCE = "verify.apart.fence"

_folders: list[tempfile.TemporaryDirectory[str]] = []

_started: set[int] = set()
"""Processes apart that have not ended."""


class EndedError(Exception):
    """The process ended before it answered.

    Args:
        code: its exit code, as `subprocess` has it.
        lines: the last that it printed.
    """

    def __init__(self, code: int, lines: Sequence[str]) -> None:
        super().__init__(code)
        self.code = code
        self.lines = list(lines)

    def in_words(self, doing: str) -> str:
        """What it did, in a sentence that begins with what was going on."""
        return died(self.code, doing)


class Apart:
    """A process apart.

    Args:
        module: that runs in it, with `main()`; it calls `connect`.
    """

    def __init__(self, module: str) -> None:
        adopt_orphans()
        self._before = _children()
        ours, theirs = socket.socketpair()
        self._printed: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", FENCE, module, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                env=_environment(_own_folder()),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        _started.add(self._process.pid)
        self.wire = Wire(ours)

    def send(self, message: Any) -> None:
        """Send it a message; where it is gone, `receive` says so."""
        with suppress(OSError):
            self.wire.send(message)

    def receive(self, kind: type[T] | Any) -> T:
        """Its next message.

        Args:
            kind: what it must be.

        Raises:
            EndedError: where it ended instead.
            msgspec.ValidationError: where it sends something else.
        """
        try:
            message: T = self.wire.receive(kind)
        except (EOFError, OSError):
            raise self._ended() from None
        return message

    def _ended(self) -> EndedError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        lines = last_lines(self._printed)
        self.end()
        return EndedError(self._process.returncode, lines)

    def end(self) -> None:
        """End it, and every process that it has started; a second time does nothing."""
        if self._printed.closed:
            return
        self._kill(_below(self._process.pid))
        self._process.wait()
        _started.discard(self._process.pid)
        self._kill(self._orphans())
        self.wire.close()
        self._printed.close()

    def __del__(self) -> None:
        self.end()

    def _orphans(self) -> list[psutil.Process]:
        """What lost its parent, and has this process for one since; it was not started here."""
        known = self._before | _started
        children = psutil.Process().children()
        return [each for child in children if child.pid not in known for each in _below(child.pid)]

    @staticmethod
    def _kill(processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, GRACE_S)


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def _below(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, and they."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _own_folder() -> str:
    """A folder for temporary files, which stays until this process ends.

    What a candidate's process has compiled there of Mojo, MAX's process reads later.
    """
    _folders.append(tempfile.TemporaryDirectory(prefix="verify-apart-"))
    return _folders[-1].name


def _environment(folder: str) -> dict[str, str]:
    """The harness's environment without what is its own; its packages come first.

    Args:
        folder: for temporary files.
    """
    caches = cache_folder()
    caches.mkdir(parents=True, exist_ok=True)
    writable = os.pathsep.join([folder, str(caches)])
    kept = {name: value for name, value in os.environ.items() if name not in (STATUS, STANDBY)}
    given = kept.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(ROOT), given]))
    # Else MAX compiles every operation on an eager tensor in the background, on all CPUs.
    eager = {"MAX_EAGER_EXECUTOR": "interpreter"}
    return {**eager, **kept, "PYTHONPATH": path, "TMPDIR": folder, WRITABLE: writable}


# ---- in the process apart -----------------------------------------------------------------------


def connect(argv: Sequence[str]) -> Wire:
    """In the process apart: the wire to the harness, with which it ends.

    Args:
        argv: what follows the module's name.
    """
    descriptor, parent = map(int, argv)
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness hears it, and decides
    connected = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    return Wire(connected)


def give_way() -> dict[str, ModuleType]:
    """In the candidate's process: leave the names of the harness's packages to the candidate.

    What is imported stays in use; `import reports` finds what the user has by that name, and this
    package's own only where he has none.

    Returns:
        The harness's own modules by name.
    """
    ours = {name: each for name, each in sys.modules.items() if name.partition(".")[0] in PACKAGES}
    for name in ours:
        del sys.modules[name]
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    own = [entry for entry in given[1:] if Path(entry).resolve() != ROOT]
    others = [p for p in sys.path if p and Path(p).resolve() != ROOT and p not in own]
    sys.path[:] = [str(Path.cwd()), *own, *others, str(ROOT)]
    os.environ["PYTHONPATH"] = os.pathsep.join(given[1:])
    return ours
