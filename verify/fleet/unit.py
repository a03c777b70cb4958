"""A unit of work, what came of it, and how it is done."""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reports.saved.records import strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class FleetError(RuntimeError):
    """Units that nobody can do; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Work that depends on no other unit.

    Attributes:
        key: names it in the records; no two units of a run have the same.
        function: does it, as `package.module:function`. It takes the arguments by name, and returns
            or yields records, which are JSON objects. Between units of one process it may keep what
            was dear to make, such as a compiled model (`functools.cache`), but its records must not
            depend on which units were done before.
        arguments: JSON values.
        place: the node's name or its CPU, where only that will do; empty for any.
    """

    key: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    @property
    def sha256(self) -> str:
        """Hash of the function's name and the arguments: what the records of a unit are of."""
        text = json.dumps([self.function, strict(self.arguments)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a unit.

    Attributes:
        key: the unit's.
        sha256: the unit's.
        records: what its function returned, as strict JSON values.
        seconds: that it took, with what was made for it and kept.
        node: where it was done; `here` for this process.
        machine: the node's CPU, as `reports.saved.machine.cpu_model` names it. Figures that depend
            on the machine are compared with those of the same one alone.
        error: why it came to nothing, in a sentence; None where it was done.
    """

    key: str
    sha256: str
    records: tuple[dict[str, Any], ...]
    seconds: float
    node: str
    machine: str
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """As a line of `records.jsonl` has it."""
        return {
            "record": "unit", "key": self.key, "sha256": self.sha256, "node": self.node,
            "machine": self.machine, "seconds": round(self.seconds, 3), "error": self.error,
            "records": list(self.records),
        }  # fmt: skip

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Done:
        """From such a line."""
        return cls(
            record["key"], record["sha256"], tuple(record["records"]), record["seconds"],
            record["node"], record["machine"], record["error"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """Where units are done.

    Attributes:
        on: None does them in this process, one after the other; `ray` on the Ray cluster that this
            machine belongs to, or, where there is none, on one that is started on this machine and
            ended with the run; `ray://HOST:PORT` on the cluster whose Ray Client server that is.
        exclusive: whether a unit takes a node for itself: one unit at a time on a node that offers
            the resource `bench` (`ray start --resources '{"bench": 1}'`), and only while at most
            `most_load` of its CPUs are at work. Without a cluster, units are alone anyway.
        cpus: that a unit takes of its node, where it is not exclusive.
        most_load: see `exclusive`; 1 takes every node.
    """

    on: str | None = None
    exclusive: bool = False
    cpus: int = 1
    most_load: float = 0.25


@dataclass(frozen=True, slots=True)
class NodeNews:
    """Something about a node that a user should know.

    Attributes:
        node: its name.
        state: `used`; `refused`, which gets no work; `busy`, which gets none for now; `lost`.
        reason: a sentence; empty for `used`.
        machine: its CPU; empty where that is not known.
        cpus: that it offers.
    """

    node: str
    state: str
    reason: str = ""
    machine: str = ""
    cpus: int = 0

    def record(self) -> dict[str, Any]:
        """As a line of `records.jsonl` has it."""
        return {
            "record": "node", "node": self.node, "state": self.state, "reason": self.reason,
            "machine": self.machine, "cpus": self.cpus,
        }  # fmt: skip


def function_of(name: str) -> Callable[..., Iterable[dict[str, Any]]]:
    """The function that `package.module:function` names."""
    module, _, function = name.partition(":")
    found: Callable[..., Iterable[dict[str, Any]]] = getattr(
        importlib.import_module(module), function
    )
    return found


def do(unit: Unit, node: str, machine: str) -> Done:
    """Do a unit in this process.

    What its function raises is said in `Done.error`, so that one unit does not end the others.
    """
    start_s = time.monotonic()
    records: tuple[dict[str, Any], ...] = ()
    error = None
    try:
        records = tuple(strict(record) for record in function_of(unit.function)(**unit.arguments))
    except Exception as raised:  # whatever it is, the other units go on
        error = " ".join(f"{type(raised).__name__}: {raised}".split())
    seconds = time.monotonic() - start_s
    return Done(unit.key, unit.sha256, records, seconds, node, machine, error)
