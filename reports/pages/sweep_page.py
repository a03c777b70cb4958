"""The page of a sweep: models x dtypes x sizes x threads, machine by machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reports.figures.several_runs import swept
from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.saved.files import PAGE
from reports.tables.classes import family_of
from reports.tables.numbers import brief, counted, figure
from reports.tables.unit_markdown import pair
from reports.tables.units import disturbed, failed, machine_name, matrices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.saved.records import Run
    from reports.tables.units import Answer, Matrix

WORDS = {"FASTER": "faster in", "SLOWER": "slower in", "SAME": "as fast in",
         "INCONCLUSIVE": "not settled in"}  # fmt: skip

LEFT_OUT = ("candidate", "machine", "weights")
"""Facts of a run that a sweep tells machine by machine, or not at all."""


def sweep_page(run: Run) -> str:
    """The page, from an opened run (`reports.tables.units.opened`)."""
    found = matrices(run)
    context: dict[str, Any] = {
        "head": sweep_headline(run),
        "matrices": [
            {"title": machine_name(one.machine, many=len(found) > 1), "matrix": one}
            for one in found
        ],
        "ratios": swept.by_machine(run),
        "cells": run.of("cell"),
        "pages": {one["unit"]: page_of(one) for one in run.of("unit_run")},
        "pair": pair,
        "page": PAGE,
    }
    return render_page("sweep.html", run, context)


def page_of(unit_run: dict[str, Any]) -> str:
    """Where the page of a unit's run lies, seen from the sweep's."""
    return f"{unit_run['run']}/{PAGE}"


def sweep_headline(run: Run) -> Headline:
    """The headline of an opened sweep."""
    found = matrices(run)
    verdict, title, lead = _verdict(run, found)
    facts = [fact for fact in run_facts(run) if fact.name not in LEFT_OUT]
    return Headline(
        verdict=verdict, title=title, lead=lead, figures=_figures(run, found), facts=facts,
        skipped=[Fact(key, reason) for key, reason in failed(run)],
        warnings=[*run_warnings(run), *disturbed(run)],
    )  # fmt: skip


def _verdict(run: Run, found: Sequence[Matrix]) -> tuple[str, str, str]:
    units = run.of("unit")
    measured = sum(not unit["error"] for unit in units)
    if not found:
        return "EMPTY", "Nothing to show", "No unit came to its end."
    asked = run.environment.get("units", len(units))
    where = machine_name(found[0].machine) if len(found) == 1 else (
        f"{len(found)} kinds of machine, each by itself"
    )  # fmt: skip
    lead = f"{measured} of {counted(asked, 'unit')} measured, on {where}."
    if run.end is None:
        return "INCOMPLETE", "Not finished", lead
    statuses = Counter(cell["status"] for cell in run.of("cell"))
    if set(statuses) - {"VALID"}:
        first = next(cell for cell in run.of("cell") if cell["status"] != "VALID")
        why = "; ".join(map(str, first["invalid_reasons"]))
        lead += f" {first['workload']} {first['arm']} of {first['model']}: {why}"
        return "PARTLY", "Not everything counts", lead
    pairs = [
        f"{arm} against {versus}: {_counted(verdicts)}"
        for matrix in found
        for (arm, versus), verdicts in _pairs(matrix).items()
        if versus
    ]
    return "MEASURED", pairs[0] if len(pairs) == 1 else "Machine by machine", lead


def _pairs(matrix: Matrix) -> dict[tuple[str, str], Counter[str]]:
    """The verdicts of each pair of arms, whatever their dtype; without a second where none is."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for line in matrix.lines:
        pair_of = family_of(line.arm), family_of(line.versus)
        found.setdefault(pair_of, Counter()).update(one.verdict for one in _answers(line.answers))
    return found


def _counted(verdicts: Counter[str]) -> str:
    said = [f"{words} {verdicts[name]}" for name, words in WORDS.items() if verdicts[name]]
    rest = sum(verdicts[name] for name in verdicts if name not in WORDS)
    said += [f"without a ratio in {rest}"] if rest else []
    return f"{', '.join(said)} of {verdicts.total()}"


def _answers(answers: Iterable[Answer | None]) -> list[Answer]:
    return [one for one in answers if one is not None]


def _figures(run: Run, found: Sequence[Matrix]) -> list[Fact]:
    """Of each machine and pair of arms the least and the largest ratio, with the verdicts."""
    return [
        fact
        for matrix in found
        for (arm, versus), verdicts in _pairs(matrix).items()
        if versus and (fact := _figure(run, matrix, arm, versus, verdicts, many=len(found) > 1))
    ]


def _figure(
    run: Run, matrix: Matrix, arm: str, versus: str, verdicts: Counter[str], *, many: bool
) -> Fact | None:  # fmt: skip
    machine = matrix.machine
    ratios = sorted(
        float(cell["ratio"]) for cell in run.of("cell")
        if cell["machine"] == machine["machine"] and family_of(cell["arm"]) == arm
        and figure(cell["ratio"])
    )  # fmt: skip
    if not ratios:
        return None
    where = f" on {short_cpu(machine)} [{machine['machine']}]" if many else ""
    value = " to ".join(dict.fromkeys(map(brief, (ratios[0], ratios[-1]))))
    return Fact(f"time of {arm} over {versus}'s{where}", value, _counted(verdicts))


def short_cpu(machine: Mapping[str, Any]) -> str:
    """A CPU's name without its numbers."""
    return str(machine["cpu"]).partition(" (family")[0]
