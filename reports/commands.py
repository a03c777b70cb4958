"""What every command line of this repository shares: exit codes, signals, a parser, checks.

Only the standard library is imported here, so that a mistake is answered at once.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

CANNOT_RUN = 2
"""Exit code where something could not be run, after one sentence that says why."""

UNDERPOWERED = 3
"""Exit code where everything passed, and mistakes would not have been noticed."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell counts signals: 128 and SIGINT's number."""

TERMINATED = 143
"""Exit code after SIGTERM, likewise."""

STOPPED = frozenset({INTERRUPTED, TERMINATED})
"""Exit codes of a program that a signal stopped."""

CLOSED_PIPE = 141
"""Exit code where the reader of the output went away, likewise."""

STDOUT = Path("-")
"""A file's name that stands for standard output."""

PROGRAM = "MAX_PARITY_PROGRAM"
"""Environment variable: the command that started this one, `max-parity`; unset in a clone, where
commands are `python -m NAME`."""

WIDTH = 100
"""Columns of what is printed where there is no terminal."""


SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
"""By the letter after a number of them."""

_COMMAND = re.compile(r"\bpython -m (?=(?:verify|bench|reports|impl|reference)\b)")

_PR_SET_PDEATHSIG = 1
"""`prctl(2)`: the signal that a process gets when the one that started it ends."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: from `kill`, or from a CI whose time is up."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does: it raises `Terminated` in the main thread.

    Only the first signal does. A CI sends SIGTERM some seconds after SIGINT, while the program is
    writing down what it has; nothing would be won by ending that. A second Ctrl-C still does.

    Does nothing in other threads, within another `terminable`, and where SIGTERM is ignored.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    stopped = False

    def terminate(*_: object) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise Terminated

    def interrupt(*_: object) -> None:
        nonlocal stopped
        stopped = True
        raise KeyboardInterrupt

    handlers = {signal.SIGTERM: terminate}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handlers[signal.SIGINT] = interrupt
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code_of(stop: KeyboardInterrupt) -> int:
    """What a shell reports for a program that was stopped like this."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def how_stopped(stop: KeyboardInterrupt) -> str:
    """`interrupted`, or `ended by SIGTERM`."""
    return "ended by SIGTERM" if isinstance(stop, Terminated) else "interrupted"


def signal_name(number: int) -> str:
    """A signal as it is called; its number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as the one that started it ends, however it ends.

    A process that was stopped (SIGSTOP) is killed too. Linux counts the thread that started this
    process as its parent, so that should be one that lasts. Does nothing on other systems.

    Args:
        parent: process id of who started this one, which may have ended already.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(TERMINATED)


class UsageError(ValueError):
    """Options that cannot be carried out, said in one sentence."""


_REASONS: list[str] = []
"""What this process has said of why it cannot run; the last is what `--json` gives as reason."""


def cannot_run(program: str, message: object, *notes: str) -> int:
    """Say in a sentence why something cannot be run, remember it for `--json`, and return 2.

    Args:
        program: `verify`, `bench` and so on, which begins the line.
        message: the sentence.
        notes: further lines for the terminal alone.
    """
    _REASONS.append(str(message))
    print(f"{program}: {message}", *notes, sep="\n", file=sys.stderr)
    return CANNOT_RUN


def last_reason() -> str:
    """The last sentence of `cannot_run` or of a parser in this process; empty without one."""
    return _REASONS[-1] if _REASONS else ""


def as_called(text: str) -> str:
    """A text in which commands are called as the user calls them: `max-parity verify`, perhaps."""
    program = os.environ.get(PROGRAM)
    return _COMMAND.sub(f"{program} ", text) if program else text


def working_directory_last() -> None:
    """Let modules of the working directory be found, but after everything else.

    An installed tool runs without it on the path (`python -P`): a user's package may have the name
    of one of ours.
    """
    folder = str(Path.cwd())
    if sys.flags.safe_path and folder not in sys.path:
        sys.path.append(folder)


class Parser(argparse.ArgumentParser):
    """Answers a mistake in one line, without the usage; names commands as they were called."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prog = as_called(self.prog)
        self.usage = as_called(self.usage) if self.usage else None

    def format_help(self) -> str:
        """The help."""
        return as_called(super().format_help())

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        _REASONS.append(message)
        self.exit(CANNOT_RUN, f"{self.prog}: {message}; see --help\n")


def duration(text: str) -> float:
    """`90s`, `2m`, `1.5h` or a bare number of seconds, for argparse; at least something."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text, re.ASCII)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 2m or 1h")
    return float(found[1]) * SECONDS[found[2]]


def open_console(*, highlight: bool = True, quiet: bool = False) -> Console:
    """A console as wide as the terminal, or of `WIDTH` columns where there is none.

    Args:
        highlight: whether numbers are coloured.
        quiet: whether it prints nothing.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH
    return Console(width=width, highlight=highlight, quiet=quiet)


def add_quiet(parser: argparse._ActionsContainer, what: str = "the verdict") -> None:
    """Add `-q`."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", help=f"print {what} and the report's path alone"
    )


def check_written(path: Path | None, option: str) -> None:
    """Find out before a long run whether a file can be written whole at its end.

    It is written under another name and then renamed, which takes a writable folder. `-` is
    standard output.

    Args:
        path: the file; None where the option was not given.
        option: its name, for the sentence.

    Raises:
        UsageError: if it cannot.
    """
    if path is None or path == STDOUT:
        return
    if is_device(path):
        raise UsageError(f"{option}: {path} is a device; `{option} -` writes to standard output")
    _check_place(path, path.parent, option)


def is_device(path: Path) -> bool:
    """Whether a path names a device or a descriptor, which must not be replaced by a file."""
    return path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",))


def check_appended(path: Path | None, option: str) -> None:
    """Find out before a long run whether a file can be appended to at its end.

    Args:
        path: the file; None where the option was not given.
        option: its name, for the sentence.

    Raises:
        UsageError: if it cannot.
    """
    if path is not None:
        _check_place(path, path if path.exists() else path.parent, option)


def _check_place(path: Path, changed: Path, option: str) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{option}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(changed, os.W_OK):
        raise UsageError(f"{option}: {path} cannot be written")
