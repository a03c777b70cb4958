"""`run_units`: the same units, here or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.saved.machine import cpu_model
from verify.fleet.unit import FleetError, do

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from verify.fleet.unit import Done, NodeNews, Unit

HERE = "here"
"""The node's name where there is no cluster."""

MOST_LOAD = 0.25
"""Share of a node's CPUs that may be at work before a unit that takes the node for itself."""


def run_units(
    units: Sequence[Unit],
    *,
    on: str | None = None,
    exclusive: bool = False,
    cpus: int = 1,
    most_load: float = MOST_LOAD,
    listen: Callable[[NodeNews], None] | None = None,
) -> Iterator[Done]:
    """Do units, and yield what came of each as soon as it is done.

    Args:
        units: in the order in which they are begun.
        on: None does them in this process, one after the other; `ray` on the Ray cluster that this
            machine belongs to, or, where there is none, on one that is started on this machine and
            ended with the run; `ray://HOST:PORT` on the cluster whose Ray Client server that is.
        exclusive: whether a unit takes a node for itself: one unit at a time on a node that offers
            the resource `bench` (`ray start --resources '{"bench": 1}'`), and only while at most
            `most_load` of its CPUs are at work. Without a cluster, units are alone anyway.
        cpus: that a unit takes of its node, where it is not exclusive.
        most_load: see `exclusive`; 1 takes every node.
        listen: is told what happens to nodes.

    Yields:
        One `Done` for each unit; those of a cluster in the order in which they end. A unit that
        failed is among them, with its `error`.

    Raises:
        FleetError: where two units have the same key, Ray is not installed or not to be reached, or
            no node is left that may work.
        KeyboardInterrupt: as it comes; what is under way on the cluster is given up.
    """
    if len({unit.key for unit in units}) < len(units):
        raise FleetError("two units of work have the same key")
    if on is None:
        machine = cpu_model()
        yield from (do(unit, HERE, machine) for unit in units)
        return
    from verify.fleet.ray_cluster import on_cluster

    with on_cluster(
        on, exclusive=exclusive, cpus=cpus, most_load=most_load, listen=listen or _nobody
    ) as cluster:
        yield from cluster.run(units)


def _nobody(_: NodeNews) -> None:
    """Who is told where nobody asked."""
