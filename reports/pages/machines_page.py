"""The page of a table of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures.several_runs import swept
from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.pages.sweep_page import LEFT_OUT, page_of
from reports.tables.machine_rows import cells_by_machine, machine_rows, shown_rows
from reports.tables.numbers import brief, counted, figure, interval
from reports.tables.units import answer, disturbed, failed

if TYPE_CHECKING:
    from reports.saved.records import Run


def machines_page(run: Run) -> str:
    """The page, from an opened run (`reports.tables.units.opened`)."""
    speeds = {one["unit"]: one for one in run.of("unit_run")
              if one["name"] == "speeds" and one["run"]}  # fmt: skip
    context: dict[str, Any] = {
        "head": machines_headline(run),
        "rows": shown_rows(run),
        "chart": swept.machines(run),
        "machines": [
            {
                "record": machine,
                "cells": [(cell, answer(cell)) for cell in cells],
                "page": page_of(speeds[machine["unit"]]) if machine["unit"] in speeds else "",
                "ceilings": best_ceilings(run, machine["unit"]),
            }
            for machine, cells in cells_by_machine(run)
        ],
    }
    return render_page("machines.html", run, context)


def best_ceilings(run: Run, unit: str) -> list[dict[str, Any]]:
    """Each ceiling of a unit in each dtype once, from the run of the unit that came highest."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in run.of("machine_ceiling"):
        key = one["ceiling"], one["dtype"]
        if one["unit"] == unit and (key not in found or one["value"] > found[key]["value"]):
            found[key] = one
    return list(found.values())


def machines_headline(run: Run) -> Headline:
    """The headline of an opened table of machines."""
    rows = machine_rows(run)
    verdict, title, lead = _verdict(run, len(rows))
    facts = [fact for fact in run_facts(run) if fact.name not in LEFT_OUT]
    return Headline(
        verdict=verdict, title=title, lead=lead, figures=_figures(run), facts=facts,
        skipped=[Fact(key, reason) for key, reason in failed(run)],
        warnings=[*run_warnings(run), *disturbed(run)],
    )  # fmt: skip


def _verdict(run: Run, count: int) -> tuple[str, str, str]:
    if not count:
        return "EMPTY", "Nothing to show", "No machine was measured."
    lead = "What each can read and multiply at most, and the same two workloads on each."
    title = counted(count, "machine")
    if run.end is None:
        return "INCOMPLETE", f"Not finished: {title}", lead
    wrong = [cell for cell in run.of("cell") if cell["status"] != "VALID"]
    if wrong:
        why = "; ".join(map(str, wrong[0]["invalid_reasons"]))
        lead = f"{lead} {wrong[0]['workload']} {wrong[0]['arm']}: {why}"
        return "PARTLY", f"{title}, without all speeds", lead
    return "MEASURED", title, lead


def _figures(run: Run) -> list[Fact]:
    """Of each workload the ratios, from the least to the largest machine's."""
    facts = []
    for workload in dict.fromkeys(cell["workload"] for cell in run.of("cell")):
        cells = [c for c in run.of("cell") if c["workload"] == workload and figure(c["ratio"])]
        if cells:
            cells.sort(key=lambda cell: float(cell["ratio"]))
            ends = dict.fromkeys(brief(cells[end]["ratio"]) for end in (0, -1))
            name = f"{workload}: time of {cells[0]['arm']} over {cells[0]['versus']}"
            told = interval(cells[0]["ci_lo"], cells[0]["ci_hi"]) if len(cells) == 1 else ""
            facts.append(Fact(name, " to ".join(ends), told and f"95%: {told}"))
    return facts
