"""`run_units`: the same units, here or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.saved.machine import cpu_model
from verify.fleet.unit import FleetError, Spread, do

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from verify.fleet.unit import Done, NodeNews, Unit

HERE = Spread()
"""In this process."""

NAME = "here"
"""The node's name there."""


def run_units(
    units: Sequence[Unit],
    spread: Spread = HERE,
    listen: Callable[[NodeNews], None] | None = None,
) -> Generator[Done, None, None]:
    """Do units, and yield what came of each as soon as it is done.

    Args:
        units: in the order in which they are begun.
        spread: where they are done.
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
    if spread.on is None:
        machine = cpu_model()
        yield from (do(unit, NAME, machine) for unit in units)
        return
    from verify.fleet.ray_cluster import on_cluster

    with on_cluster(spread, listen or _nobody) as cluster:
        yield from cluster.run(units)


def _nobody(_: NodeNews) -> None:
    """Who is told where nobody asked."""
