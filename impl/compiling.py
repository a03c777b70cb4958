"""Compiling a program of MAX, with word of what is compiled and how long it may take.

MAX says nothing while it compiles: a second where its cache holds the program, minutes where it
does not. How long programs took on this machine is kept in MAX's own cache folder, so that the
estimate goes when the cache goes:

- the very same program: what it took the last time, which was after it had been compiled
- another program of that kind: what the last one took that the cache did not hold
- nothing yet: `FIRST_S`, by how much slower this machine runs a short loop than the one that
  `FIRST_S` was measured on

Nothing is shown here. Whoever has a terminal installs an announcer (`announced_by`).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from impl.interrupt import interruptible
from impl.precompile import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reports.waiting import Waiting

T = TypeVar("T")

HISTORY = "compile_times.jsonl"
KEPT = 500
"""Lines of the history that are read; one is added for each program of a process."""

FIRST_S = 110.0
"""A model's program, compiled with an empty cache: measured on two cores of an AMD EPYC (Zen 5)."""

LOOP_S = 0.024
"""What `_loop` took there."""


AT_MOST_S = 30.0
"""For how long MAX's worker is waited for after a program has been compiled."""

BASIS = {
    "cached": "MAX's cache holds it",
    "history": "as long as the last one here",
    "calibration": "judged by how fast this machine runs Python; seconds from then on",
}
"""What an estimate is taken from, in words."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a program may take.

    Attributes:
        seconds: to compile it.
        basis: what that is taken from; a key of `BASIS`.
    """

    seconds: float
    basis: str


_announcers: list[Callable[[str, Estimate], AbstractContextManager[None]]] = []


@contextmanager
def announced_by(
    announcer: Callable[[str, Estimate], AbstractContextManager[None]],
) -> Iterator[None]:
    """While this context lasts, `announcer` hears of every program that is compiled.

    Args:
        announcer: called with what is compiled and an estimate; what it returns is entered before
            the program is compiled, and left afterwards.
    """
    _announcers.append(announcer)
    try:
        yield
    finally:
        _announcers.remove(announcer)


@contextmanager
def announced_to(waiting: Waiting) -> Iterator[None]:
    """While this context lasts, programs that are compiled are shown as parts of a wait."""

    def announce(what: str, estimate: Estimate) -> AbstractContextManager[None]:
        return waiting.part(f"compiling {what}", estimate.seconds, BASIS[estimate.basis])

    with announced_by(announce):
        yield


def compile_announced(what: str, program: str, compile_: Callable[[], T]) -> T:
    """Compile a program; the main thread hears Ctrl-C meanwhile.

    Args:
        what: is compiled, in a few words; programs of the same words count as one kind.
        program: its text, or anything else that tells it from every other.
        compile_: does it.

    Returns:
        What `compile_` returns.

    Raises:
        BaseException: what `compile_` raises, or KeyboardInterrupt.
    """
    history = History(cache_folder() / HISTORY)
    key = hashlib.sha256(f"{version('max')}\0{program}".encode()).hexdigest()[:16]
    estimate = history.estimate(what, key)
    announced = _announcers[-1](what, estimate) if _announcers else nullcontext()
    started = time.monotonic()
    with announced:
        result = interruptible(compile_)
    _await_end_of_compiling()
    history.add(what, key, time.monotonic() - started)
    return result


def _await_end_of_compiling() -> None:
    """Wait until a worker of MAX has told that it is through, by releasing a lock.

    It calls Python for that, after the compiler has returned, and needs the GIL. A model that is
    destroyed before waits for the worker, and holds the GIL meanwhile: with one worker, on one CPU,
    both of them for ever (MAX 26.7; seen once, beside others that kept the CPU busy).
    """
    lock = getattr(sys.modules.get("max.engine.api"), "_COMPILATION_LOCK", None)
    if lock is not None and lock.acquire(timeout=AT_MOST_S):
        lock.release()


class History:
    """How long programs took to compile with one cache of MAX's.

    Args:
        file: JSON lines; it need not exist, and nothing is said where it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries = _read(file)

    def estimate(self, what: str, key: str) -> Estimate:
        """How long a program may take.

        Args:
            what: its kind.
            key: tells it from every other.
        """
        again = [entry["seconds"] for entry in self._entries if entry["key"] == key]
        if again:
            # The first time filled the cache; later ones tell what it costs to read it.
            return Estimate(again[-1] if len(again) > 1 else 2.0, "cached")
        fresh = self._first_times()
        alike = [entry["seconds"] for entry in fresh if entry["what"] == what] or [
            entry["seconds"] for entry in fresh
        ]
        if alike:
            return Estimate(alike[-1], "history")
        return Estimate(FIRST_S * max(1.0, _loop() / LOOP_S), "calibration")

    def add(self, what: str, key: str, seconds: float) -> None:
        """Keep what a program took."""
        entry = {"what": what, "key": key, "seconds": round(seconds, 2)}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError:
            return

    def _first_times(self) -> list[dict[str, Any]]:
        """The first entry of each program, which its cache did not hold."""
        seen: dict[str, dict[str, Any]] = {}
        for entry in self._entries:
            seen.setdefault(entry["key"], entry)
        return list(seen.values())


def _read(file: Path) -> list[dict[str, Any]]:
    """The newest entries; lines that are not entries are passed over."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()[-KEPT:]
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
            found.append(
                {
                    "what": str(entry["what"]),
                    "key": str(entry["key"]),
                    "seconds": float(entry["seconds"]),
                }
            )
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _loop() -> float:
    """Seconds that a short loop takes: the best of three, since others share the machine."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        total = 0
        for number in range(500_000):
            total += number & 7
        times.append(time.perf_counter() - started)
    return min(times)
