"""The machines that there are: this one, or a cluster's nodes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.saved.machine import cpu_model
from verify.fleet.unit import FleetError
from verify.fleet.units_run import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.fleet.unit import NodeNews, Spread


@dataclass(frozen=True, slots=True)
class Place:
    """A machine that may work.

    Attributes:
        name: of the node; `here` for this machine without a cluster.
        cpu: as `reports.saved.machine.cpu_model` names it.
    """

    name: str
    cpu: str


@contextmanager
def places(spread: Spread) -> Iterator[list[Place]]:
    """The machines that may work; a cluster stays connected for as long as the context lasts.

    Raises:
        FleetError: where there is none, with what each that there is was refused for.
    """
    if spread.on is None:
        yield [Place(NAME, cpu_model())]
        return
    from verify.fleet.ray_cluster import on_cluster

    heard: list[NodeNews] = []
    with on_cluster(spread, heard.append) as cluster:
        try:
            nodes = cluster.nodes()
        except FleetError as error:
            refused = [f"{one.node}: {one.reason}" for one in heard if one.state == "refused"]
            raise FleetError("; ".join([str(error), *refused])) from None
        yield [Place(node.name, node.machine) for node in nodes]
