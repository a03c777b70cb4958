"""The process on a node that does one unit after the other.

What computes is the node's own copy of the code, which has been compared with the driver's before.
Nothing heavy is imported before the environment is set.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from verify.fleet.unit import Unit, do

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Worker:
    """Does units, and keeps between them what their functions keep.

    Args:
        node: name of the node.
        machine: its CPU.
        environment: variables that the driver was started with and that decide what is computed.
        cpus: the CPUs that this process may use; None for those that it has.
    """

    def __init__(
        self, node: str, machine: str, environment: Mapping[str, str], cpus: Sequence[int] | None
    ) -> None:
        self._node, self._machine = node, machine
        os.environ.update(environment)
        if cpus:
            os.sched_setaffinity(0, cpus)

    def load(self) -> float:
        """Which share of the node's CPUs is at work."""
        from verify.fleet.node_check import load

        return load()

    def do(self, unit: Mapping[str, Any]) -> dict[str, Any]:
        """Do one unit; both it and what came of it are the fields of their classes."""
        return asdict(do(Unit(**unit), self._node, self._machine))
