"""The client's process, as the harness sees it: started, asked, and ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from reports.saved.home import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.asking.level import Level

    Record = dict[str, Any]


class CallerError(RuntimeError):
    """The client's process ended, told with the last that it said."""


class Caller:
    """A context with a process that asks one server.

    Args:
        connection: `url`, `model`, `prompts`, `max_tokens`, `options`, as `bench.asking.client`
            takes them.
        cpus: that it may run on.
        log: takes what it says on standard error.
    """

    def __init__(self, connection: Mapping[str, Any], cpus: Sequence[int], log: Path) -> None:
        self._connection, self._cpus, self._log = connection, cpus, log

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.asking.pinned", ",".join(map(str, self._cpus)),
                   sys.executable, "-m", "bench.asking.client"]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, env=os.environ, text=True, stderr=log,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        self._ask({"do": "connect", **self._connection})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def alone(self, prompts: Sequence[int]) -> list[Record]:
        """Each of these prompts asked once, one after the other."""
        return self._ask({"do": "alone", "prompts": list(prompts)})[0]

    def level(self, level: Level) -> tuple[list[Record], Record]:
        """Put a load on the server.

        Returns:
            Every request, and what the client says of itself and the time that counts.

        Raises:
            CallerError: where the client's process ends.
        """
        return self._ask({"do": "level", "level": level.as_dict()})

    def _ask(self, asked: Mapping[str, Any]) -> tuple[list[Record], Record]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise CallerError(self._ended()) from None
        found: list[Record] = []
        for line in self._process.stdout:
            told = json.loads(line)
            if told.pop("done", False):
                return found, told
            found.append(told)
        raise CallerError(self._ended())

    def _ended(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"the client's process ended: {lines[-1] if lines else 'it said nothing'}"
