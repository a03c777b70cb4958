"""By whom the own arm is measured in each workload.

The nearest rival is the fastest of those that are certainly faster, else the fastest of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.tables.paired import Cell, Says, Standing


@dataclass(frozen=True, slots=True)
class Beside:
    """The own arm beside its nearest rival in one workload.

    Attributes:
        rival: its label.
        cell: the rival's.
        faster: how many rivals are certainly faster than the own arm.
        of: how many have a ratio.
        first: whether no rival's ratio is less, however sure it is.
    """

    workload: str
    rival: str
    cell: Cell
    faster: int
    of: int
    first: bool

    @property
    def kind(self) -> tuple[Says, bool]:
        """What can be said in one breath: the verdict, and whether there is an interval."""
        bare = self.cell.low is None
        ratio = self.cell.ratio or 1.0
        return ("faster" if ratio >= 1 else "slower") if bare else self.cell.says, bare


def nearest(standing: Standing) -> list[Beside]:
    """The own arm beside its nearest rival, of each workload that has a ratio."""
    return [one for w in standing.workloads if (one := _nearest(standing, w))]


def _nearest(standing: Standing, workload: str) -> Beside | None:
    cells = {
        rival: cell
        for rival in standing.rivals
        if (cell := standing.cells.get((rival, workload))) and cell.ratio
    }
    if not cells:
        return None
    faster = [rival for rival, cell in cells.items() if cell.says == "slower"]
    nearest = min(faster or cells, key=lambda rival: cells[rival].ratio or 0.0)
    first = cells[nearest].ratio == min(cell.ratio or 0.0 for cell in cells.values())
    return Beside(workload, nearest, cells[nearest], len(faster), len(cells), first)
