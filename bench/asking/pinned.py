"""`python -m bench.asking.pinned 0,1 COMMAND ...`: a command on these CPUs alone.

The client gets a CPU of its own where there is more than one, and every server the same others.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Take the CPUs, and become the command."""
    cpus, *command = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    try:
        os.execvp(command[0], command)  # noqa: S606 - the harness's own command
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
    return 127


if __name__ == "__main__":
    sys.exit(main())
