"""The process between the harness and a server: `PARENT GRACE_S FOLDER COMMAND`.

It ends the server, and every process below it, once it gets SIGTERM or the harness is gone. Orphans
of the server become its own children (`verify.candidate.descendants`), so that none slips away. If
it is killed itself, the kernel kills the server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from reports.commands import end_with_parent
from verify.candidate.descendants import ClingingError, Descendants

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_EVERY_S = 0.1

NOT_FOUND = 127
"""A shell's exit code where there is no such command."""


class Keeper:
    """Starts the server, and waits for its end or for a reason to end it.

    Args:
        parent: process id of the harness.
        grace_s: how long the server may take to end after SIGTERM, in seconds.
    """

    def __init__(self, parent: int, grace_s: float) -> None:
        self._parent, self._grace_s = parent, grace_s
        self._told = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._tell)

    def _tell(self, *_: object) -> None:
        self._told = True

    def run(self, command: Sequence[str], folder: str) -> int:
        """Run a command in a folder until it ends, or must; returns a shell's exit code."""
        descendants = Descendants()
        own = os.getpid()
        try:
            server = subprocess.Popen(
                command, cwd=folder, start_new_session=True,
                preexec_fn=lambda: end_with_parent(own),  # there is one thread
            )  # fmt: skip
        except OSError as error:
            print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
            return NOT_FOUND
        descendants.of(server)
        self._wait(server)
        with suppress(ClingingError):
            descendants.end()
        code = server.wait()
        return 128 - code if code < 0 else code

    def _wait(self, server: subprocess.Popen[bytes]) -> None:
        """Until it ends, or was asked to and had its time."""
        while not self._told and os.getppid() == self._parent:
            with suppress(subprocess.TimeoutExpired):
                server.wait(LOOK_EVERY_S)
                return
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(self._grace_s)


def main(argv: Sequence[str]) -> int:
    """Keep the server that the command line names; returns its exit code."""
    parent, grace_s, folder, *command = argv
    return Keeper(int(parent), float(grace_s)).run(command, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
