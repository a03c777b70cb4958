"""Which machine a run was made on: what must be equal for two speeds to be on one line.

The kernel's release and the exact bytes of memory, which change with an update, are no other
machine: they are named where a figure steps.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, and how many of its threads were used.

    Attributes:
        name: as people call it: `AMD EPYC (family 26, model 2, stepping 1), 2 threads`.
        key: everything that must be equal.
    """

    name: str
    key: tuple[str, ...]

    @property
    def number(self) -> str:
        """Six digits that tell machines of one name apart."""
        return hashlib.sha256("\n".join(self.key).encode()).hexdigest()[:6]

    @property
    def label(self) -> str:
        """Name and number."""
        return f"{self.name} #{self.number}"

    @property
    def slug(self) -> str:
        """The same as the name of a file."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


def machine_of(environment: Mapping[str, Any], threads: Any = None, device: Any = None) -> Machine:
    """The machine that an environment describes.

    Args:
        environment: of a run.
        threads: of one row; those of the run by default.
        device: of one row: a CPU's row does not depend on the accelerator beside it.
    """
    threads = environment.get("threads") if threads is None else threads
    accelerator = None if device == "cpu" else environment.get("accelerator")
    system = str(environment.get("system") or "").split()
    memory = environment.get("memory_bytes")
    parts = (
        environment.get("cpu"), environment.get("cpu_flags"), environment.get("logical_cpus"),
        environment.get("usable_cpus"), environment.get("cgroup_cpus"), _listed(threads),
        round(memory / GIB) if isinstance(memory, int) else None, system[:1] + system[2:],
        accelerator,
    )  # fmt: skip
    words = (accelerator, environment.get("cpu") or "unknown CPU", _counted(threads))
    return Machine(
        ", ".join(str(word) for word in words if word), tuple(str(part) for part in parts)
    )


def _listed(threads: Any) -> list[int]:
    """A benchmark's environment lists its threads; a row and a verification have a number."""
    return threads if isinstance(threads, list) else [threads]


def _counted(threads: Any) -> str:
    numbers = [str(number) for number in _listed(threads) if number]
    return f"{', '.join(numbers)} thread{'' if numbers == ['1'] else 's'}" if numbers else ""
