"""A server that the harness starts itself, waits for, and stops, whatever becomes of the harness.

Between the harness and the server stands `verify.endpoint.keeper`, a small process that ends the
server and all that it has started as soon as it is told to, or as soon as the harness is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from reports.commands import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOPBACK = "127.0.0.1"

READY_S = 300.0
"""How long a server may take until it answers; MAX compiles a model for a minute or two."""

GRACE_S = 10.0
"""How long it may take to end after SIGTERM, before SIGKILL."""

LOOK_EVERY_S = 0.1

LAST_LINES = 3
"""How many lines of its log the sentence has, where it does not answer."""

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the five packages, where the keeper is started; the server starts where we are."""


class ServerError(Exception):
    """A server that does not answer, in one sentence with the last that it logged."""


class Server:
    """A server as a context: it answers inside, and is gone afterwards.

    Args:
        command: with its arguments.
        ready: an address that is asked until it answers with 200, or what says whether it answers.
        log: the file that takes what it prints; what was in it goes.
        environment: variables that it gets beside those of this process.
        ready_s: how long it may take until it answers, in seconds.
        grace_s: how long it may take to end after SIGTERM, in seconds.

    Attributes:
        ready_after_s: seconds from its start until it answered.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: str | Callable[[], bool],
        log: Path,
        environment: Mapping[str, str] | None = None,
        ready_s: float = READY_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        self.ready_after_s = 0.0
        self._ready = _answers(ready) if isinstance(ready, str) else ready
        self._environment = {**os.environ, **(environment or {})}
        self._ready_s, self._grace_s = ready_s, grace_s
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and do not wait.

        Raises:
            ServerError: where there is no such command.
        """
        keeper = [sys.executable, "-m", "verify.endpoint.keeper", str(os.getpid()),
                  str(self._grace_s), str(Path.cwd()), *self.command]  # fmt: skip
        self._started = time.monotonic()
        with self.log.open("wb") as log:
            self._keeper = subprocess.Popen(
                keeper, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            ServerError: where it ends before, or does not answer in time.
        """
        end = self._started + self._ready_s
        while not self._ready():
            if not self.lives:
                raise ServerError(self._ended())
            if time.monotonic() > end:
                told = f"{self.name} does not answer after {self._ready_s:g} s"
                raise ServerError(told + self._last_words())
            time.sleep(LOOK_EVERY_S)
        self.ready_after_s = time.monotonic() - self._started

    def stop(self) -> int | None:
        """End it: SIGTERM, then SIGKILL for all that it has started; a second time does nothing.

        Returns:
            Its exit code as a shell has it; None where it was not started.
        """
        if self._keeper is None:
            return None
        with suppress(ProcessLookupError):
            self._keeper.send_signal(signal.SIGTERM)
        return self._keeper.wait()

    def kill(self) -> None:
        """Kill it as it stands, with SIGKILL; what it has started goes with it."""
        for process in self.processes[:1]:
            with suppress(psutil.Error):
                process.kill()
        if self._keeper is not None:
            self._keeper.wait()

    @property
    def name(self) -> str:
        """The command in short, for a sentence."""
        words = [Path(self.command[0]).name, *self.command[1:]]
        return " ".join(words[:4]) + (" ..." if len(words) > 4 else "")

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's own process, then those that it has started."""
        with suppress(psutil.Error):
            if self._keeper is not None:
                return psutil.Process(self._keeper.pid).children(recursive=True)
        return []

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The last lines of its log that say something."""
        with suppress(OSError):
            text = self.log.read_text(encoding="utf-8", errors="replace")
            return [line.strip() for line in text.splitlines() if line.strip()][-count:]
        return []

    def _ended(self) -> str:
        code = self._keeper.returncode if self._keeper else 0
        how = f"was ended by {signal_name(code - 128)}" if code > 128 else f"ended with exit {code}"
        return f"{self.name} {how} before it answered" + self._last_words()

    def _last_words(self) -> str:
        lines = self.last_lines()
        return "; its log ends: " + " | ".join(lines) if lines else "; it has logged nothing"


def _answers(url: str) -> Callable[[], bool]:
    """Whether an address answers with 200."""

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - of the harness
                return bool(response.status == 200)
        except (OSError, ValueError):
            return False

    return answers


def free_port() -> int:
    """A port of the loopback address that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: Any = listener.getsockname()[1]
    return int(port)
