"""Single keys of a terminal, and what else a session waits for: saves, checks, a resized window."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import threading
import tty
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchfiles import watch as changes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from queue import SimpleQueue

    from verify.learn.step_check import Checked, StepCheck

    Events = SimpleQueue["Event"]

DEBOUNCE_MS = 100
"""An editor may write a file in several steps within this time."""

AGAIN_MS = 500
"""How often files are looked at besides: some file systems raise no events."""

NO_KEY = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What arrows, and keys with Alt, send: they mean nothing here."""

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Key:
    """A key, as a lower-case letter."""

    name: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A Python file of the folder has another content, is new, or is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A check has come to its end."""

    check: StepCheck
    found: Checked


@dataclass(frozen=True, slots=True)
class Redraw:
    """The window has another size, or the session goes on after Ctrl-Z."""


@dataclass(frozen=True, slots=True)
class Closed:
    """There is no keyboard any more."""


Event = Key | Saved | Ended | Redraw | Closed


@contextmanager
def keys_of_terminal(events: Events) -> Iterator[None]:
    """While this context lasts, keys become events as they are pressed, and are not echoed."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    stop = threading.Event()

    def again(*_: object) -> None:
        tty.setcbreak(descriptor)
        events.put(Redraw())

    handlers = {
        number: signal.signal(number, again) for number in (signal.SIGCONT, signal.SIGWINCH)
    }
    tty.setcbreak(descriptor)
    thread = threading.Thread(target=_read, args=(descriptor, events, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read(descriptor: int, events: Events, stop: threading.Event) -> None:
    while not stop.is_set():
        if not select.select([descriptor], [], [], POLL_S)[0]:
            continue
        try:
            pressed = os.read(descriptor, 64)
        except OSError:  # the terminal is gone
            pressed = b""
        if not pressed:
            events.put(Closed())
            return
        for name in NO_KEY.sub(b"", pressed).decode(errors="ignore").lower():
            events.put(Key(name))


@contextmanager
def saves_in(folder: Path, events: Events) -> Iterator[None]:
    """While this context lasts, a change of a Python file of a folder becomes an event."""
    stop = threading.Event()
    seen = _signature(folder)

    def follow() -> None:
        nonlocal seen
        for _ in changes(
            folder, debounce=DEBOUNCE_MS, rust_timeout=AGAIN_MS, yield_on_timeout=True,
            recursive=False, raise_interrupt=False, stop_event=stop,
        ):  # fmt: skip
            now = _signature(folder)
            if now != seen:
                seen = now
                events.put(Saved())

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _signature(folder: Path) -> dict[str, tuple[int, int]]:
    """When each Python file was written, and its size."""
    found = {}
    for file in folder.glob("*.py"):
        try:
            known = file.stat()
        except OSError:  # it is being replaced
            continue
        found[file.name] = known.st_mtime_ns, known.st_size
    return found
