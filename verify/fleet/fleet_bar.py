"""How far units have come: nodes, units a minute, time left.

A bar on stderr in a terminal; elsewhere a line every 30 seconds, so that a log shows it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from reports.waiting import EVERY_S, about

if TYPE_CHECKING:
    from types import TracebackType

    from verify.fleet.unit import Done, NodeNews


class FleetBar:
    """Shows units as they are done; a context manager.

    Args:
        total: how many there are.
        before: how many of them were done in an earlier run.
        quiet: shows nothing of the progress, but news of nodes.
    """

    def __init__(self, total: int, before: int = 0, *, quiet: bool = False) -> None:
        self._total, self._count, self._before, self._quiet = total, before, before, quiet
        self._nodes: set[str] = set()
        self._start_s = self._said_s = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            console=Console(stderr=True), transient=True, disable=quiet,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=total, completed=before)

    def __enter__(self) -> Self:
        """Begin."""
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line on stderr, above the bar."""
        if self._progress.console.is_terminal:
            self._progress.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def news(self, news: NodeNews) -> None:
        """Hear of a node, and say what a user should know of it."""
        if news.state == "used":
            self._nodes.add(news.node)
        else:
            if news.state != "busy":
                self._nodes.discard(news.node)
            self.say(f"node {news.node} is {news.state}: {news.reason}")
        self._show()

    def advance(self, done: Done) -> None:
        """One more unit is done."""
        self._count += 1
        if done.error:
            self.say(f"{done.key}: {done.error}")
        self._show()
        now = time.monotonic()
        wanted = not self._progress.console.is_terminal and not self._quiet
        if wanted and now - self._said_s >= EVERY_S:
            self._said_s = now
            self.say(f"{self._count} of {self._total}: {self._words()}")

    def _show(self) -> None:
        self._progress.update(self._task, completed=self._count, description=self._words())

    def _words(self) -> str:
        """Nodes, units a minute, and time left, in words."""
        parts = [f"{len(self._nodes)} node{'s' * (len(self._nodes) != 1)}"] if self._nodes else []
        seconds, count = time.monotonic() - self._start_s, self._count - self._before
        if count:
            parts.append(f"{60 * count / seconds:.3g} a minute")
            parts.append(f"{about(seconds / count * (self._total - self._count))} left")
        return ", ".join(parts)
