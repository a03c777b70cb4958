"""The page of a sweep: models x dtypes x sizes x threads, machine by machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reports.figures import swept
from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.saved.files import PAGE
from reports.tables.numbers import brief, counted, figure
from reports.tables.unit_markdown import pair
from reports.tables.units import disturbed, failed, machine_name, matrices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    asked = (run.environment.get("sweep") or {}).get("units", len(units))
    lead = f"{measured} of {counted(asked, 'unit')} measured. {_sentences(found)}"
    if run.end is None:
        return "INCOMPLETE", "Not finished", lead
    statuses = Counter(cell["status"] for cell in run.of("cell"))
    if set(statuses) - {"VALID"}:
        first = next(cell for cell in run.of("cell") if cell["status"] != "VALID")
        why = "; ".join(map(str, first["invalid_reasons"]))
        lead += f" {first['workload']} {first['arm']} of {first['model']}: {why}"
        return "PARTLY", "Not everything counts", lead
    title = _said(found[0]) if len(found) == 1 else f"{len(found)} kinds of machine, each by itself"
    return "MEASURED", title, lead


def _sentences(found: Sequence[Matrix]) -> str:
    """Who is faster, machine by machine."""
    if len(found) == 1:
        return f"Machine: {machine_name(found[0].machine)}."
    return " ".join(f"{machine_name(one.machine, many=True)}: {_said(one)}." for one in found)


def _said(matrix: Matrix) -> str:
    """`max against torch: faster in 5 of 6`, for each pair of arms."""
    pairs: dict[str, Counter[str]] = {}
    for line in matrix.lines:
        name = f"{family(line.arm)} against {family(line.versus)}" if line.versus else line.arm
        pairs.setdefault(name, Counter()).update(one.verdict for one in _answers(line.answers))
    return "; ".join(f"{name}: {_counted(verdicts)}" for name, verdicts in pairs.items())


def family(arm: str) -> str:
    """An arm without its dtype: `max-bf16` is `max`."""
    return arm.removesuffix("-bf16").removesuffix("-int8")


def _counted(verdicts: Counter[str]) -> str:
    said = [f"{words} {verdicts[name]}" for name, words in WORDS.items() if verdicts[name]]
    rest = sum(verdicts[name] for name in verdicts if name not in WORDS)
    said += [f"without a ratio in {rest}"] if rest else []
    return f"{', '.join(said)} of {verdicts.total()}"


def _answers(answers: Iterable[Answer | None]) -> list[Answer]:
    return [one for one in answers if one is not None]


def _figures(run: Run, found: Sequence[Matrix]) -> list[Fact]:
    """Of each machine the least and the largest ratio."""
    facts = []
    for matrix in found:
        machine = matrix.machine["machine"]
        cells = [c for c in run.of("cell") if c["machine"] == machine and figure(c["ratio"])]
        if cells:
            cells.sort(key=lambda cell: float(cell["ratio"]))
            where = f" on {matrix.machine['cpu']}" if len(found) > 1 else ""
            value = " to ".join(dict.fromkeys(brief(cells[end]["ratio"]) for end in (0, -1)))
            told = [f"{words}: {_where(cell)}" for words, cell in
                    (("least", cells[0]), ("most", cells[-1]))]  # fmt: skip
            facts.append(Fact(f"time over the baseline's{where}", value, "; ".join(told)))
    return facts


def _where(cell: dict[str, Any]) -> str:
    return f"{cell['model']} {cell['dtype']}, {cell['threads']} threads, {cell['workload']}"
