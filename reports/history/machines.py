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
        name: as people call it: `AMD EPYC (family 26, model 2, stepping 1), 2 threads #3f2a91`. The
            number at its end tells apart machines that have the same name.
        key: everything that must be equal.
    """

    name: str
    key: tuple[str, ...]

    @property
    def slug(self) -> str:
        """A file's name for it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def machine_of(
    environment: Mapping[str, Any], threads: Any = None, device: Any = None
) -> Machine:
    """The machine that an environment describes.

    Args:
        environment: of a run.
        threads: of one row; those of the run by default.
        device: of one row: a CPU's row does not depend on the accelerator beside it.
    """
    threads = environment.get("threads") if threads is None else threads
    accelerator = None if device == "cpu" else environment.get("accelerator")
    kind = str(environment.get("system") or "").split()
    memory = environment.get("memory_bytes")
    key = tuple(
        str(part)
        for part in (
            environment.get("cpu"), environment.get("cpu_flags"), environment.get("logical_cpus"),
            environment.get("usable_cpus"), environment.get("cgroup_cpus"), _listed(threads),
            round(memory / GIB) if isinstance(memory, int) else None, kind[:1] + kind[2:],
            accelerator,
        )
    )  # fmt: skip
    words = [accelerator, environment.get("cpu") or "unknown CPU", _counted(threads)]
    number = hashlib.sha256("\n".join(key).encode()).hexdigest()[:6]
    return Machine(f"{', '.join(str(word) for word in words if word)} #{number}", key)


def _listed(threads: Any) -> list[int]:
    """A benchmark's environment lists its threads, a row and a verification have a number."""
    return threads if isinstance(threads, list) else [threads]


def _counted(threads: Any) -> str:
    numbers = [str(number) for number in _listed(threads) if number]
    return f"{', '.join(numbers)} thread{'' if numbers == ['1'] else 's'}" if numbers else ""
