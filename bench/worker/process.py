"""The parent's end of a worker process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import psutil

from reports.commands import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Tick = Callable[[], None]

LIMIT_S = 1800.0
"""A worker that says nothing for so long hangs: compiling the largest GPT-2 takes minutes."""

TICK_S = 5.0
"""How often somebody who waits for a worker is called, in seconds."""

STOP_S = 5.0
"""How long a worker may take to end by itself once its stdin is closed."""


class WorkerError(RuntimeError):
    """A worker that failed or died, told in one sentence."""


class WorkerUnavailable(WorkerError):  # noqa: N818 - as ArmUnavailable, a reason and no error
    """A worker that says that it cannot run here."""


class Worker:
    """A worker process, stopped (SIGSTOP) while it has nothing to do.

    Blocking on a read is not enough: MAX's idle threads were seen to take 14% of a CPU, in which
    the arm whose turn it is would be disturbed. The worker has a process group of its own, so that
    Ctrl-C reaches the parent alone. Should the parent be killed, the kernel kills the worker, busy
    or stopped; start it from the parent's main thread, on whose end that depends.

    Args:
        arguments: after `python -m bench.worker`.
        log: takes whatever the worker prints.
        python: the interpreter that runs it; None for this one.
        variables: set in its environment.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        python: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [python or sys.executable, "-m", "bench.worker", *arguments,
                 "--parent", str(os.getpid())],
                env={**os.environ, **(variables or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,
                bufsize=0,
            )  # fmt: skip
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the worker end by itself; after an error or Ctrl-C it may be busy, so end it."""
        if kind is not None:
            self.kill()
        self.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            WorkerError: if the worker reports a failure, dies or hangs.
        """
        assert self._process.stdin is not None
        self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError:
            raise WorkerError(self._epitaph()) from None
        return self.receive()

    def receive(self, limit_s: float = LIMIT_S, tick: Tick = lambda: None) -> dict[str, Any]:
        """Wait for a line, and call `tick` every few seconds meanwhile; raises as `ask`."""
        reply: dict[str, Any] = json.loads(self._line(limit_s, tick))
        self._stop()
        if "unavailable" in reply:
            raise WorkerUnavailable(reply["unavailable"])
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def cpu_s(self) -> float:
        """CPU seconds that the worker has used so far."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def dismiss(self) -> None:
        """Let the worker end by itself, without waiting for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the worker: by closing its stdin, or by force where that does not help."""
        assert self._process.stdout is not None
        self.dismiss()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process.stdout.close()

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _stop(self) -> None:
        """Stop the worker, and wait until each of its threads has stopped.

        A signal is only on its way when `kill` returns: threads that spin take CPU until then.
        """
        self._signal(signal.SIGSTOP)
        if self._process.returncode is None:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, number)

    def _line(self, limit_s: float, tick: Tick) -> bytes:
        assert self._process.stdout is not None
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            wait_s = min(TICK_S, max(0.0, deadline - time.monotonic()))
            if not select.select([self._process.stdout], [], [], wait_s)[0]:
                if time.monotonic() >= deadline:
                    self.kill()
                    raise WorkerError(f"the worker said nothing for {limit_s:.0f} s and was ended")
                tick()
                continue
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise WorkerError(self._epitaph())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _epitaph(self) -> str:
        """How the worker died, with the last line that it printed."""
        self._signal(signal.SIGCONT)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return "the worker closed its pipe"
        if code < 0:
            memory = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"the worker was killed by {signal_name(-code)}{memory}"
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"the worker ended with exit code {code}" + (f": {last}" if last else "")
