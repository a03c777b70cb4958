"""A candidate's code runs in a child process, so that nothing it does takes the harness with it.

The parent starts `python -m verify` again in a session of its own, passes on what the harness says
there, keeps what the candidate prints apart, and watches time and memory. It imports neither MAX
nor torch. Whatever ends the child becomes a verdict with a reason: ERROR, exit 2.

Memory is watched as resident memory of the whole process tree: MAX maps far more than it uses, so
that a limit on the address space would say nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from reports.commands import (
    CANNOT_RUN,
    CLOSED_PIPE,
    INTERRUPTED,
    Terminated,
    end_with_parent,
    exit_code_of,
    signal_name,
)
from reports.pipe import reader_left, stream
from reports.saved.answer import write_error
from verify.candidate.descendants import ClingingError, Descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

STATUS = "VERIFY_STATUS_FD"
"""Environment variable that tells the child where to write what it is doing, one line each."""

STANDBY = "VERIFY_STANDBY"
"""Environment variable of a child that makes everything ready, and then waits for a line on its
standard input before it touches the candidate."""

TRACEBACK = "VERIFY_TRACEBACK"
"""Environment variable that lets an error of verify's own end in its traceback."""

OWN_CODE_S = 120.0
"""Longest time that a candidate's own Python code may take at a stretch, in seconds."""

SILENT_S = 1800.0
"""Longest time that compiling or running may go on without a sign, in seconds."""

MEMORY_SHARE = 0.8
"""Of the memory that is free at the start: what the child may hold."""

POLL_S = 0.05
PRINTED_LINES = 5
GRACE_S = 10.0
"""How long a child that is done may take to end."""

WRITING_S = 30.0
"""How long a child that was stopped may take to make a page of what it has, in seconds. MAX's
compiler may go on meanwhile, on all CPUs."""

DONE = "done "
"""Begins the last thing that a child says; its exit code follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate may take.

    Attributes:
        own_code_s: for its own Python code at a stretch, in seconds.
        silent_s: for compiling and running without a sign, in seconds.
        memory_bytes: resident, of the whole process tree.
    """

    own_code_s: float = OWN_CODE_S
    silent_s: float = SILENT_S
    memory_bytes: int = 0


@dataclass(slots=True)
class Watched:
    """What is known of a running child.

    Attributes:
        doing: what it said last; begins with `candidate ` while the candidate's own code runs.
        since: when it said so, by the monotonic clock.
        problem: why it was ended, if it was.
    """

    doing: str = "starting"
    since: float = field(default_factory=time.monotonic)
    problem: str = ""

    @property
    def code(self) -> int | None:
        """The exit code that the harness itself reported; None where it never came to its end.

        The process's own code tells nothing: a candidate that calls `os._exit(0)` passes nothing.
        """
        return int(self.doing.removeprefix(DONE)) if self.doing.startswith(DONE) else None


@dataclass(frozen=True, slots=True)
class Child:
    """A child, with what it starts."""

    process: subprocess.Popen[bytes]
    descendants: Descendants

    def end(self) -> None:
        """End it, and whatever it has started."""
        with suppress(ClingingError):
            self.descendants.end()


def needs_child(argv: Sequence[str]) -> bool:
    """Whether a command runs a candidate's code, and this is not the child already."""
    return runs_candidate(argv) and STATUS not in os.environ


def runs_candidate(argv: Sequence[str]) -> bool:
    """Whether a command runs a candidate's code."""
    named = any(word == "--candidate" or word.startswith("--candidate=") for word in argv)
    step = argv[:1] == ["step"] and not {"--explain", "--scaffold"} & set(argv)
    learner = argv[:1] == ["learn"] and "--own-text" in argv
    return named or step or learner or argv[:1] in (["reduce"], ["package"])


def watched_file(argv: Sequence[str]) -> Path | None:
    """The file of the candidate that a command names; None where it names none."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--candidate")
    try:
        named = parser.parse_known_args(argv)[0].candidate
    except (argparse.ArgumentError, SystemExit):
        return None
    where = (named or "").rpartition(":")[0]
    return Path(where) if where.endswith(".py") else None


def supervise(argv: Sequence[str]) -> int:
    """Run `python -m verify` with these arguments in a child; returns its exit code, or 2.

    Options `--time-limit` and `--memory-limit` are read here and by the child, which checks them.
    """
    options = _options(argv)
    with tempfile.TemporaryFile() as printed, _own_folder() as folder:
        child, status = _start(argv, printed.fileno(), folder)
        watched = Watched()
        try:
            _watch(child, status, _limits(options), watched)
        except KeyboardInterrupt as stop:
            return _stopped(child, stop)
        finally:
            child.end()
            os.close(status)
        if watched.code is not None:
            return watched.code
        reason = watched.problem or died(child.process.returncode, _phase(watched))
        _tell(reason, last_lines(printed), options.json)
    return CANNOT_RUN


class Standby:
    """A child that has imported all that it needs, and waits to be told to judge a candidate.

    Args:
        argv: as `python -m verify` takes them; the command calls `wait_for_word`.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._options = _options(argv)
        self._printed: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._folder = _own_folder()
        self._child, self._status = _start(
            argv, self._printed.fileno(), self._folder.name, standby=True
        )

    def judge(self) -> tuple[int | None, str]:
        """Let it go on, and wait for its end.

        Returns:
            Its exit code, or None and the reason why it never came to its end.
        """
        watched = Watched()
        stdin = self._child.process.stdin
        if stdin is not None:
            with suppress(BrokenPipeError):
                stdin.write(b"\n")
                stdin.close()
        _watch(self._child, self._status, _limits(self._options), watched)
        if watched.code is not None:
            return watched.code, ""
        lines = [f"\n  | {line[:160]}" for line in last_lines(self._printed)]
        reason = watched.problem or died(self._child.process.returncode, _phase(watched))
        return None, reason + "".join(lines)

    def printed(self, most: int) -> list[str]:
        """The last lines that the candidate's own code has printed.

        Args:
            most: how many at most.
        """
        return last_lines(self._printed, most)

    def kill(self) -> None:
        """Kill its process: `judge`, which another thread may wait in, then returns."""
        self._child.end()

    def end(self) -> None:
        """End it, whatever it does; a second time does nothing. No thread may be in `judge`."""
        if self._printed.closed:
            return
        self._child.end()
        if self._child.process.stdin is not None:
            with suppress(BrokenPipeError):
                self._child.process.stdin.close()
        os.close(self._status)
        self._printed.close()
        self._folder.cleanup()


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the child's temporary files, which goes however the child ends."""
    return tempfile.TemporaryDirectory(prefix="verify-", ignore_cleanup_errors=True)


def wait_for_word() -> None:
    """In a child that stands by: wait until it is told to go on; end with the parent."""
    if STANDBY in os.environ and not sys.stdin.readline():
        os._exit(INTERRUPTED)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--memory-limit", type=float)
    parser.add_argument("--json", type=Path)
    try:
        return parser.parse_known_args(argv)[0]
    except (argparse.ArgumentError, SystemExit):  # the child says what is wrong with it
        return argparse.Namespace(time_limit=None, memory_limit=None, json=None)


def _limits(options: argparse.Namespace) -> Limits:
    free = int(MEMORY_SHARE * psutil.virtual_memory().available)
    asked = options.memory_limit
    return Limits(
        own_code_s=options.time_limit or OWN_CODE_S,
        memory_bytes=int(asked * 2**30) if asked else free,
    )


def _start(
    argv: Sequence[str], printed: int, folder: str, *, standby: bool = False
) -> tuple[Child, int]:
    """The child, with its own session, and the descriptor that its status is read from.

    Args:
        argv: what `python -m verify` is called with.
        printed: descriptor of the file that takes what it prints.
        folder: for its temporary files.
        standby: whether it waits to be told to go on.
    """
    descendants = Descendants()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    out, err = os.dup(1), os.dup(2)
    passed = (writer, out, err)
    environment = {
        **os.environ,
        STATUS: f"{writer},{out},{err},{os.getpid()}",
        "PYTHONFAULTHANDLER": "",
        "TMPDIR": folder,
        **({STANDBY: "1"} if standby else {}),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "verify", *argv],
        stdin=subprocess.PIPE if standby else subprocess.DEVNULL,
        stdout=printed,
        stderr=printed,
        env=environment,
        pass_fds=passed,
        start_new_session=True,
    )
    descendants.of(child)
    for descriptor in passed:
        os.close(descriptor)
    return Child(child, descendants), reader


def _watch(child: Child, status: int, limits: Limits, watched: Watched) -> None:
    """Wait for the child's end; end it where it goes beyond a limit."""
    while child.process.poll() is None:
        _listen(status, watched)
        watched.problem = _beyond(child, limits, watched)
        if watched.problem or _lingers(watched):
            child.end()
            return
        time.sleep(POLL_S)
    _listen(status, watched)


def _lingers(watched: Watched) -> bool:
    """Whether a child that is done stays, for a thread that the candidate left running, say."""
    return watched.code is not None and time.monotonic() - watched.since > GRACE_S


def _listen(status: int, watched: Watched) -> None:
    with suppress(BlockingIOError):
        lines = os.read(status, 1 << 16).decode(errors="replace").splitlines()
        if lines:
            watched.doing, watched.since = lines[-1], time.monotonic()


def _beyond(child: Child, limits: Limits, watched: Watched) -> str:
    """Which limit the child is beyond, in a sentence; nothing if none."""
    held = resident(child.process.pid)
    if held > limits.memory_bytes:
        return (
            f"{_phase(watched)} took more than {limits.memory_bytes / 2**30:.1f} GiB of memory "
            "(--memory-limit) and was ended"
        )
    own = watched.doing.startswith("candidate ")
    allowed = limits.own_code_s if own else limits.silent_s
    if time.monotonic() - watched.since > allowed:
        option = " (--time-limit)" if own else ""
        return f"{_phase(watched)} took more than {allowed:g} s{option} and was ended"
    return ""


def _phase(watched: Watched) -> str:
    return watched.doing.removeprefix("candidate ")


def resident(pid: int) -> int:
    """Bytes of memory that a process and its children hold."""
    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def _stopped(child: Child, stop: KeyboardInterrupt) -> int:
    """Ctrl-C or SIGTERM: the child writes down what it has, and ends; another Ctrl-C ends it."""
    number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
    with suppress(ProcessLookupError, KeyboardInterrupt):
        os.kill(child.process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(WRITING_S)
    return exit_code_of(stop)


def died(code: int, doing: str) -> str:
    """How a child ended before it was done, in a sentence.

    Args:
        code: its exit code, as `subprocess` has it.
        doing: what was going on.
    """
    if code >= 0:
        return f"{doing} ended the process, with exit code {code}"
    name = signal_name(-code)
    why = {
        "SIGKILL": "something killed the process, perhaps the system, which was out of memory",
        "SIGSEGV": "the process crashed",
        "SIGABRT": "the process aborted itself",
    }.get(name, "the process was ended")
    return f"{doing}: {why} ({name})"


def last_lines(printed: Any, most: int = PRINTED_LINES) -> list[str]:
    """The end of what a child printed, apart from the harness's own words.

    Args:
        printed: the file that it printed to.
        most: how many lines at most.
    """
    size = os.fstat(printed.fileno()).st_size
    printed.seek(max(0, size - 4000))
    lines = printed.read().decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-most:]


def print_error(reason: str, argv: Sequence[str]) -> None:
    """Say why a command has no verdict, where it says so: on the terminal, and in its JSON."""
    _tell(reason, (), _options(argv).json)


def in_words(error: BaseException) -> str:
    """The kind of an error, with the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}{': ' if lines else ''}{''.join(lines[:1])[:300]}"


def _tell(reason: str, printed: Sequence[str], path: Path | None) -> None:
    print(f"verify: {reason}", file=sys.stderr)
    for line in printed:
        print(f"  | {line[:160]}", file=sys.stderr)
    print("Verdict: ERROR")
    if path is not None:
        write_error(path, reason)


# ---- the child's side ---------------------------------------------------------------------------


def enter() -> None:
    """In the child: speak to the parent's terminal, and leave 1 and 2 to what the candidate prints.

    The child ends with its parent. Does nothing in a process that `supervise` has not started.
    """
    if STATUS not in os.environ:
        return
    _, out, err, parent = map(int, os.environ[STATUS].split(","))
    end_with_parent(parent)
    sys.stdout, sys.stderr = _stream(out), _stream(err)


def _stream(descriptor: int) -> TextIO:
    return stream(descriptor, line_buffering=True, encoding="utf-8", errors="replace")


def leave(code: int) -> int:
    """In the child: tell the parent that the harness is done, and with which exit code."""
    say(f"{DONE}{CLOSED_PIPE if reader_left() else code}")
    return code


_heard_by: list[Callable[[str], None]] = []


def heard_by(listener: Callable[[str], None]) -> None:
    """Have what `say` says heard in another way than by the parent.

    Args:
        listener: called with what goes on.
    """
    _heard_by.append(listener)


def say(doing: str) -> None:
    """Tell the parent what goes on; `candidate ` in front means that the candidate's code runs."""
    for listener in _heard_by:
        listener(doing)
    if STATUS in os.environ:
        with suppress(OSError, ValueError):
            os.write(int(os.environ[STATUS].split(",")[0]), f"{doing}\n".encode())
