"""Something long goes on: what, which of how many, for how long, and how long it may take.

In a terminal a bar fills while the time passes; elsewhere a line says it at the start, and one more
every 30 seconds, so that a log shows that the program lives.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""

TICK_S = 0.2
"""Seconds between two steps of a bar."""


class Waiting:
    """Says what goes on, in a progress display that is there or in lines.

    Args:
        say: prints a line.
        progress: a display that runs already; None prints lines.
        total: how many long parts there will be; None where that is not known.
    """

    def __init__(
        self, say: Callable[[str], None], progress: Progress | None = None, total: int | None = None
    ) -> None:
        self._say = say
        self._progress = progress
        self._total = total
        self._count = 0

    @contextmanager
    def part(self, what: str, seconds: float, basis: str = "") -> Iterator[None]:
        """While this context lasts, a part goes on.

        Args:
            what: it is, such as `compiling the model`.
            seconds: that it may take.
            basis: what that is taken from, in a few words.
        """
        self._count += 1
        of = f" ({self._count} of {max(self._total, self._count)})" if self._total else ""
        stop = threading.Event()
        show = self._lines if self._progress is None else self._bar
        follow = show(f"{what}{of}", seconds, basis)
        thread = threading.Thread(target=follow, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _lines(self, what: str, seconds: float, basis: str) -> Callable[[threading.Event], None]:
        self._say(f"{what}: about {about(seconds)}{f', {basis}' if basis else ''}")

        def follow(stop: threading.Event) -> None:
            started = time.monotonic()
            while not stop.wait(EVERY_S):
                elapsed = about(time.monotonic() - started)
                self._say(f"{what}: {elapsed} so far, of about {about(seconds)}")

        return follow

    def _bar(self, what: str, seconds: float, basis: str) -> Callable[[threading.Event], None]:
        progress: Any = self._progress
        words = f"about {about(seconds)}{f', {basis}' if basis else ''}"
        task = progress.add_task(f"{what}, {words}", total=seconds)

        def follow(stop: threading.Event) -> None:
            started = time.monotonic()
            while not stop.wait(TICK_S):
                # It may take longer than was thought: a full bar would say that it is done.
                progress.update(task, completed=min(time.monotonic() - started, 0.98 * seconds))
            progress.remove_task(task)

        return follow


def print_line(text: str) -> None:
    """Print a line on stderr at once."""
    print(text, file=sys.stderr, flush=True)


def about(seconds: float) -> str:
    """A duration in round numbers: `3 s`, `45 s`, `2 min`, `3 min 30 s`."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    minutes, rest = divmod(30 * round(seconds / 30), 60)
    return f"{minutes} min" + (f" {rest} s" if rest else "")
