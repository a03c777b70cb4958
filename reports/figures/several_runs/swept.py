"""Ratios of benchmarks made of units, a figure for each machine: nothing of two is pooled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reports.figures import speed
from reports.figures.parity import Variant
from reports.tables.units import machine_name

if TYPE_CHECKING:
    from reports.figures.chart import Chart
    from reports.saved.records import Run

AID = (
    "Left of 1 the arm takes less time than the one it is compared with, on this machine and in "
    "the same run. The line is the 95% interval."
)


def by_machine(run: Run) -> list[Variant]:
    """The ratios of each machine of an opened sweep."""
    machines = {one["machine"]: one for one in run.of("machine")}
    variants = []
    for name, machine in machines.items():
        cells = [cell for cell in run.of("cell") if cell["machine"] == name]
        several = [key for key in ("model", "dtype", "threads")
                   if len({cell[key] for cell in cells}) > 1]  # fmt: skip
        effects = [
            {**cell, "record": "effect", "workload": _label(cell, several)} for cell in cells
        ]
        figure = speed.ratios(replace(run, records=(*_rows(run), *effects)))
        if figure:
            label = machine_name(machine, len(machines) > 1)
            title = f"Time of one arm over another's on {label}"
            variants.append(Variant(label, _named(figure, f"ratios-{name}", title)))
    return variants


def machines(run: Run) -> Chart | None:
    """The ratios of all machines of an opened table of machines, one under the other."""
    names = {
        one["unit"]: f"{number}. [{one['machine']}]"
        for number, one in enumerate(run.of("machine"), start=1)
    }
    effects = [
        {**cell, "record": "effect", "workload": f"{names[cell['unit']]} {cell['workload']}"}
        for cell in sorted(run.of("cell"), key=lambda cell: str(cell["workload"]))
    ]
    figure = speed.ratios(replace(run, records=(*_rows(run), *effects)))
    return figure and _named(figure, "machines", "The same programs on each machine")


def _rows(run: Run) -> list[speed.Record]:
    """What colours arms in the order of their appearance."""
    return [{**cell, "record": "row"} for cell in run.of("cell")]


def _named(figure: Chart, name: str, title: str) -> Chart:
    legend = [(css, text) for css, text in figure.legend if css != "band"]
    return replace(figure, name=name, title=title, aid=AID, legend=legend)


def _label(cell: speed.Record, several: list[str]) -> str:
    shown = [f"t{cell[key]}" if key == "threads" else str(cell[key]) for key in several]
    return " ".join([*shown, str(cell["workload"])])
