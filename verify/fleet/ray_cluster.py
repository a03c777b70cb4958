"""Units on a Ray cluster: nodes checked, work handed out, lost work done again.

Each node is asked what it works with before it gets work. Then processes are started on it that
last (actors), one for every `cpus` CPUs, or a single one where a unit takes the node for itself.
Each has one unit at a time, so that nothing piles up and a lost process costs one unit. Nodes may
come and go.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reports.saved.home import REPOSITORY
from verify.fleet.node_check import description, difference
from verify.fleet.ray_host import host, probe
from verify.fleet.unit import Done, FleetError, NodeNews

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TextIO

    from verify.fleet.unit import Spread, Unit

os.environ.setdefault("RAY_usage_stats_enabled", "0")  # before ray is imported

LOOPBACK = "127.0.0.2"
"""Where a cluster listens that is started here: Ray takes 127.0.0.1 for any address of the host."""

STORE_BYTES = 200 * 2**20
"""Of shared memory, for a cluster that is started here: units are small."""

ANSWER_S = 5.0
"""Seconds that a cluster may take to accept a connection."""

RESOURCE = "bench"
"""What a node offers that may be taken as a whole."""

TRIES = 3
"""How often a unit is begun whose process ends under it, before it is given up."""

LOOK_S = 1.0
"""Seconds between two looks at which nodes there are."""

PATIENCE_S = 60.0
"""Seconds without any node that may work, after which the run ends; others may join until then."""

BUSY_S = 30.0
"""Seconds until a node that was busy is looked at again."""

HANDED_ON = ("MODULAR_TELEMETRY_ENABLED", "MAX_GPT2_KERNELS", "MAX_EAGER_EXECUTOR")
"""Variables that decide what is computed, or what is told to others of it."""


@dataclass(slots=True)
class Node:
    """A machine of the cluster.

    Attributes:
        name: host name and the beginning of Ray's id.
        id: Ray's.
        cpus: that it offers.
        resources: all that it offers, by name.
        state: `asked`, `used`, `refused` or `lost`.
        machine: its CPU.
        folder: of the code there.
        usable: the CPUs of the machine, by number.
        workers: its processes.
        failures: how often one of them could not be started.
    """

    name: str
    id: str
    cpus: int
    resources: dict[str, float]
    state: str = "asked"
    machine: str = ""
    folder: str = ""
    usable: list[int] = field(default_factory=list)
    workers: dict[int, Any] = field(default_factory=dict)
    failures: int = 0

    def suits(self, unit: Unit) -> bool:
        """Whether a unit may be done here."""
        return unit.place in ("", self.name, self.machine)


@dataclass(slots=True)
class Task:
    """Something that was asked of a node and has not been answered.

    Attributes:
        what: `probe`, `ready`, `load` or `unit`.
        node: that was asked.
        slot: number of its process.
        unit: that is done.
    """

    what: str
    node: Node
    slot: int = 0
    unit: Unit | None = None


@contextmanager
def on_cluster(spread: Spread, listen: Callable[[NodeNews], None]) -> Iterator[Cluster]:
    """A cluster, for as long as the context lasts.

    Args:
        spread: which one, and how it is used.
        listen: is told what happens to nodes.

    Raises:
        FleetError: where it cannot be reached, or Ray is not installed.
    """
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Affinity
    except ImportError:
        raise FleetError(
            "--on needs Ray: pip install ray -c constraints.txt, or the extra max-parity[fleet]"
        ) from None
    with redirect_stdout(cast("TextIO", _WithoutRay(sys.stdout))):
        connected = ray.is_initialized()  # within another such context
        try:
            if not connected:
                with _signals_kept():
                    _connect(ray, str(spread.on))
            yield Cluster(ray, Affinity, spread, listen)
        finally:
            if not connected:
                ray.shutdown()


class _WithoutRay:
    """Standard output without what threads of Ray's print there, which is no result.

    Args:
        stream: where all else goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what is not Ray's."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _connect(ray: Any, on: str) -> None:
    """Connect to a cluster that answers; Ray itself would try for minutes.

    Raises:
        FleetError: where there is none.
    """
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    named = on if on != "ray" else os.environ.get("RAY_ADDRESS", "")
    _check_answers(named)
    try:
        if on == "ray":
            _join_or_start(ray, quiet)
        else:
            _call(ray, on, quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        why = str(error).strip().splitlines()
        raise FleetError(f"no Ray cluster at {on}: {why[-1] if why else error!r}") from None


def _join_or_start(ray: Any, quiet: Mapping[str, Any]) -> None:
    """The cluster that this machine belongs to, or one of this machine alone."""
    with suppress(ConnectionError, FleetError):
        if not os.environ.get("RAY_ADDRESS"):
            _check_answers(_noted())
        ray.init(address="auto", **quiet)
    if not ray.is_initialized():
        ray.init(
            address="local", include_dashboard=False, _node_ip_address=LOOPBACK,
            object_store_memory=STORE_BYTES, **quiet,
        )  # fmt: skip


def _noted() -> str:
    """The cluster that Ray has noted on this machine, which may have been killed since."""
    with suppress(OSError):
        return Path(tempfile.gettempdir(), "ray", "ray_current_cluster").read_text().strip()
    return ""


def _call(ray: Any, address: str, quiet: Mapping[str, Any]) -> None:
    """A cluster's Ray Client server, once more where it cannot start what it answers with.

    It forks while its threads call gRPC, and has been seen to hang in that.
    """
    try:
        ray.init(address=address, **quiet)
    except ConnectionError:
        ray.init(address=address, **quiet)


def _check_answers(address: str) -> None:
    """Find out whether somebody listens at `HOST:PORT`, with `ray://` before it or not."""
    host, colon, port = address.rpartition("/")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except OSError as error:
        raise FleetError(f"no Ray cluster at {address}: {error.strerror or error}") from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever had it before has it again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Cluster:
    """Hands units out to the nodes of a Ray cluster.

    Args:
        ray: the module, connected.
        affinity: Ray's class for what is to run on a certain node.
        spread: how it is used.
        listen: is told what happens to nodes.
    """

    def __init__(
        self, ray: Any, affinity: Any, spread: Spread, listen: Callable[[NodeNews], None]
    ) -> None:
        self._ray, self._affinity = ray, affinity
        self._spread, self._listen = spread, listen
        self._mine = description()
        self._probe = ray.remote(num_cpus=0, max_retries=0)(probe())
        self._host = ray.remote(host())
        self._nodes: dict[str, Node] = {}
        self._tasks: dict[Any, Task] = {}
        self._idle: deque[Task] = deque()
        self._resting: list[tuple[float, Task]] = []
        self._waiting: deque[Unit] = deque()
        self._tries: dict[str, int] = {}
        self._looked_s = self._worked_s = float("-inf")

    def run(self, units: Sequence[Unit]) -> Iterator[Done]:
        """Do units; see `verify.fleet.units_run.run_units`."""
        self._waiting = deque(units)
        missing = {unit.key for unit in units}
        self._worked_s = time.monotonic()
        while missing:
            self._look()
            self._hand_out()
            for done in (*self._answers(), *self._homeless()):
                if done.key in missing:  # else it was done twice
                    missing.remove(done.key)
                    yield done
            self._check_hope()

    def nodes(self) -> list[Node]:
        """The nodes that may work, once each that is there now has been asked.

        Raises:
            FleetError: where there is none.
        """
        self._worked_s = time.monotonic()
        while not self._nodes or any(node.state == "asked" for node in self._nodes.values()):
            self._look()
            list(self._answers())
            self._check_hope()
        return [node for node in self._nodes.values() if node.state == "used"]

    def _look(self) -> None:
        """Notice nodes that have come or gone, and those that were busy."""
        now = time.monotonic()
        if now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        there = {found["NodeID"]: found for found in self._ray.nodes() if found["Alive"]}
        for key, found in there.items():
            if key not in self._nodes:
                self._nodes[key] = node = _node(found)
                self._ask(node)
        for key, node in self._nodes.items():
            if key not in there and node.state in ("asked", "used"):
                self._lose(node)
        for when, task in list(self._resting):
            if when <= now:
                self._resting.remove((when, task))
                self._rest_over(task)

    def _lose(self, node: Node) -> None:
        node.state = "lost"
        self._tell(node, "what it was doing is done again elsewhere")

    def _ask(self, node: Node) -> None:
        """Ask a node what it works with, unless it cannot be taken anyway."""
        if self._spread.exclusive and not node.resources.get(RESOURCE):
            self._refuse(node, f"it does not offer the resource {RESOURCE}")
        elif not node.cpus:
            node.state = "refused"  # a head that was started to do no work
        elif node.cpus < (1 if self._spread.exclusive else self._spread.cpus):
            self._refuse(node, f"it offers {node.cpus} CPUs")
        else:
            asked = self._probe.options(scheduling_strategy=self._at(node))
            self._tasks[asked.remote(str(REPOSITORY))] = Task("probe", node)

    def _at(self, node: Node) -> Any:
        return self._affinity(node.id, soft=False)

    def _refuse(self, node: Node, why: str) -> None:
        node.state = "refused"
        self._tell(node, why)

    def _tell(self, node: Node, reason: str = "", state: str | None = None) -> None:
        self._listen(NodeNews(node.name, state or node.state, reason, node.machine, node.cpus))

    def _answers(self) -> Iterator[Done]:
        """Take what has been answered meanwhile, waiting for it for a while."""
        if not self._tasks:
            time.sleep(LOOK_S)
            return
        ready, _ = self._ray.wait(list(self._tasks), timeout=LOOK_S)
        for reference in ready:
            task = self._tasks.pop(reference)
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                yield from self._unanswered(task, error)
            else:
                yield from self._answered(task, answer)

    def _answered(self, task: Task, answer: Any) -> Iterator[Done]:
        self._worked_s = time.monotonic()
        if task.what == "probe":
            self._checked(task.node, answer)
        elif task.what == "ready":
            self._look_at_load(task)
        elif task.what == "load":
            self._weighed(task, answer)
        else:
            yield Done(**{**answer, "records": tuple(answer["records"])})
            self._look_at_load(task)

    def _checked(self, node: Node, found: dict[str, Any]) -> None:
        """Use a node that works with what the driver works with."""
        why = found.get("problem") or difference(self._mine, found)
        if why:
            self._refuse(node, why)
            return
        node.state, node.machine, node.folder = "used", found["machine"], found["folder"]
        node.usable = found["cpus"]
        self._tell(node)
        for slot in range(1 if self._spread.exclusive else node.cpus // self._spread.cpus):
            self._start(node, slot)

    def _start(self, node: Node, slot: int) -> None:
        """Start a process of a node, if there is work for one more."""
        wanted = [unit for unit in self._waiting if node.suits(unit)]
        coming = (t.node for t in self._tasks.values() if t.what != "probe" and not t.unit)
        if len(wanted) <= sum(any(map(other.suits, wanted)) for other in coming):
            return
        cpus = node.cpus if self._spread.exclusive else self._spread.cpus
        asked = self._host.options(
            num_cpus=cpus, max_restarts=0, scheduling_strategy=self._at(node),
            resources={RESOURCE: 1} if self._spread.exclusive else None,
        )  # fmt: skip
        environment = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
        node.workers[slot] = actor = asked.remote(
            node.folder, node.name, node.machine, environment, self._share(node, slot)
        )
        self._tasks[actor.ready.remote()] = Task("ready", node, slot)

    def _share(self, node: Node, slot: int) -> list[int] | None:
        """The CPUs of a process, where the node is a whole machine; else None."""
        if self._spread.exclusive or node.cpus != len(node.usable):
            return None
        return node.usable[slot * self._spread.cpus : (slot + 1) * self._spread.cpus]

    def _look_at_load(self, task: Task) -> None:
        """See how busy a node is before it is taken as a whole."""
        if self._spread.exclusive and any(map(task.node.suits, self._waiting)):
            actor = task.node.workers[task.slot]
            self._tasks[actor.load.remote()] = Task("load", task.node, task.slot)
        else:
            self._idle.append(Task("idle", task.node, task.slot))

    def _weighed(self, task: Task, load: float) -> None:
        if load <= self._spread.most_load:
            self._idle.append(Task("idle", task.node, task.slot))
            return
        why = f"{load:.0%} of its CPUs are at work, and {self._spread.most_load:.0%} are allowed"
        self._tell(task.node, f"{why}; it is looked at again after {BUSY_S:g} s", "busy")
        self._resting.append((time.monotonic() + BUSY_S, task))

    def _rest_over(self, task: Task) -> None:
        if task.node.state == "used":
            self._look_at_load(task)

    def _hand_out(self) -> None:
        """Give every process that has nothing to do a unit."""
        for _ in range(len(self._idle)):
            task = self._idle.popleft()
            if task.node.state != "used":
                continue
            unit = next(filter(task.node.suits, self._waiting), None)
            if unit is None:
                self._idle.append(task)
                continue
            self._waiting.remove(unit)
            reference = task.node.workers[task.slot].do.remote(_fields(unit))
            self._tasks[reference] = Task("unit", task.node, task.slot, unit)

    def _homeless(self) -> Iterator[Done]:
        """Give up units that only a node could do which is gone."""
        hopeful = [node for node in self._nodes.values() if node.state in ("asked", "used")]
        for unit in [unit for unit in self._waiting if unit.place]:
            if not any(node.state == "asked" or node.suits(unit) for node in hopeful):
                self._waiting.remove(unit)
                why = f"no node is left that is {unit.place}"
                yield Done(unit.key, unit.sha256, (), 0.0, "", "", why)

    def _unanswered(self, task: Task, error: Exception) -> Iterator[Done]:
        """A process has ended, with its node or alone."""
        node = task.node
        if task.what == "probe":
            self._refuse(node, f"it did not answer: {_first_line(error)}")
            return
        node.workers.pop(task.slot, None)
        if task.unit is not None:
            yield from self._again(task.unit, node, error)
        elif node.state == "used":
            node.failures += 1
            if node.failures >= TRIES:
                self._refuse(node, f"no process can be started there: {_first_line(error)}")
        self._looked_s = float("-inf")
        self._look()
        if node.state == "used" and self._waiting:
            self._start(node, task.slot)

    def _again(self, unit: Unit, node: Node, error: Exception) -> Iterator[Done]:
        """Do a unit again whose process has ended; give it up where that goes on."""
        tries = self._tries[unit.key] = self._tries.get(unit.key, 0) + 1
        if tries < TRIES:
            self._tell(node, f"a process of it ended, and {unit.key} is done again")
            self._waiting.appendleft(unit)
            return
        why = f"its process ended {tries} times: {_first_line(error)}"
        yield Done(unit.key, unit.sha256, (), 0.0, node.name, node.machine, why)

    def _check_hope(self) -> None:
        """End where nobody is left who may work.

        Raises:
            FleetError: says why each node may not.
        """
        hopeful = any(node.state in ("asked", "used") for node in self._nodes.values())
        if hopeful and (self._tasks or self._resting or self._idle):
            return
        only_refused = all(node.state == "refused" for node in self._nodes.values())
        if only_refused or time.monotonic() - self._worked_s > PATIENCE_S:
            nodes = ", ".join(f"{node.name} {node.state}" for node in self._nodes.values())
            raise FleetError(f"no node is left that may work: {nodes or 'none has joined'}")


def _fields(unit: Unit) -> dict[str, Any]:
    return {**asdict(unit), "arguments": dict(unit.arguments)}


def _node(found: dict[str, Any]) -> Node:
    """A node as Ray lists it."""
    resources = {name: float(amount) for name, amount in found["Resources"].items()}
    name = f"{found['NodeManagerHostname']}/{found['NodeID'][:8]}"
    return Node(name, found["NodeID"], int(resources.get("CPU", 0)), resources)


def _first_line(error: Exception) -> str:
    with suppress(IndexError):
        return str(error).strip().splitlines()[0]
    return type(error).__name__
