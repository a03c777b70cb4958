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

from impl.precompile import cache_folder
from reports.commands import end_with_parent
from verify.apart import fence
from verify.apart.fence import WRITABLE
from verify.apart.wire import Wire
from verify.candidate.descendants import ClingingError, Descendants
from verify.candidate.guard import CandidateError, stands_behind_a_fence
from verify.candidate.sandbox import STANDBY, STATUS, died, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the five packages."""

PACKAGES = ("bench", "impl", "reference", "reports", "verify")

GRACE_S = 5.0
"""How long a process that has closed its wire may take to end, in seconds."""

CACHES = (".max_cache", ".mogg_cache", ".mojo_cache")
"""Folders of MAX's in its cache folder: compiled programs, kernels, Mojo."""

FENCE = "verify.apart.fence"

_folders: list[tempfile.TemporaryDirectory[str]] = []


class EndedError(Exception):
    """The process ended before it answered.

    Args:
        code: its exit code, as `subprocess` has it; None where it closed its wire and went on.
        lines: the last that it printed.
    """

    def __init__(self, code: int | None, lines: Sequence[str]) -> None:
        super().__init__(code)
        self.code = code
        self.lines = list(lines)

    def as_candidates(self, doing: str) -> CandidateError:
        """What it did, in a sentence that begins with what was going on, with its last lines."""
        closed = f"{doing}: the process closed its connection to verify"
        error = CandidateError(closed if self.code is None else died(self.code, doing))
        for line in self.lines:
            error.add_note(f"  | {line[:160]}")
        return error


class Apart:
    """A process apart.

    Args:
        module: that runs in it; it calls `answer_until_alone`, or `connect` alone.
        caches: whether it may write into MAX's caches.
    """

    def __init__(self, module: str, *, caches: bool = False) -> None:
        self._printed: Any = None
        self._descendants = Descendants()
        ours, theirs = socket.socketpair()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", FENCE, module, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                env=_environment(_own_folder(), caches=caches),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._descendants.of(self._process)
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
        lives = self._process.returncode is None
        lines = last_lines(self._printed)
        self.end()
        return EndedError(None if lives else self._process.returncode, lines)

    @property
    def has_ended(self) -> bool:
        """Whether `end` was called."""
        return self._printed is None or self._printed.closed

    def end(self) -> None:
        """End it, and every process that it has started; a second time does nothing.

        Raises:
            ClingingError: where one of them cannot be ended.
        """
        if self.has_ended:
            return
        self._printed.close()
        self.wire.close()
        self._descendants.end()

    def __del__(self) -> None:
        with suppress(ClingingError):
            self.end()


def _own_folder() -> str:
    """A folder for temporary files, which stays until this process ends.

    What a candidate's process has compiled there of Mojo, MAX's process reads later.
    """
    _folders.append(tempfile.TemporaryDirectory(prefix="verify-apart-"))
    return _folders[-1].name


def _environment(folder: str, *, caches: bool) -> dict[str, str]:
    """The harness's environment without what is its own; its packages come first.

    Args:
        folder: for temporary files.
        caches: whether MAX's caches may be written, besides.
    """
    writable = [folder, *(map(str, _caches()) if caches else ())]
    kept = {name: value for name, value in os.environ.items() if name not in (STATUS, STANDBY)}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH", "")]))
    # Else MAX compiles every operation on an eager tensor in the background, on all CPUs.
    eager = {"MAX_EAGER_EXECUTOR": "interpreter"}
    own = {"PYTHONPATH": path, "TMPDIR": folder, WRITABLE: os.pathsep.join(writable)}
    return {**eager, **kept, **own}


def _caches() -> list[Path]:
    """MAX's own caches; what `impl` keeps beside them of its kernels is not among them."""
    base = cache_folder() / "cache" if "MODULAR_DERIVED_PATH" in os.environ else cache_folder()
    folders = [base / name for name in CACHES]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


# ---- in the process apart -----------------------------------------------------------------------


def connect(argv: Sequence[str]) -> Wire:
    """In the process apart: the wire to the harness, with which it ends.

    Args:
        argv: what follows the module's name.
    """
    descriptor, parent = map(int, argv)
    end_with_parent(parent)
    if fence.version():
        stands_behind_a_fence()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness hears it, and decides
    connected = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    return Wire(connected)


def answer_until_alone(argv: Sequence[str], serve: Callable[[Wire], None]) -> None:
    """What a module that runs apart does: answer, until the harness is gone.

    Args:
        argv: what follows its name.
        serve: answers over the wire without end.
    """
    wire = connect(argv)
    with suppress(EOFError, OSError):
        serve(wire)


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
