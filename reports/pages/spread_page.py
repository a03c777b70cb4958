"""The page of a campaign, or of a contest of rules: what was found, and where it was done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.tables.numbers import counted, duration, figure, percent
from reports.tables.spread_work import failed_units, node_rows, seed_rows, units_of, within

if TYPE_CHECKING:
    from reports.saved.records import Run

MOST_SEEDS = 300
"""Seeds that the page lists, those nearest to a bound first; seeds.csv has all."""


def spread_page(run: Run) -> str:
    """The page, from a run's records."""
    seeds = sorted(seed_rows(run), key=lambda row: (-row["false_alarms"], -(row["used"] or 0.0)))
    context: dict[str, Any] = {
        "head": spread_headline(run),
        "nodes": node_rows(run),
        "seeds": seeds[:MOST_SEEDS],
        "seed_count": len(seeds),
        "scores": list((run.end or {}).get("scores") or ()),
        "alarms": [alarm for seed in within(run, "seed") for alarm in seed["alarms"]],
    }
    return render_page("spread.html", run, context)


def spread_headline(run: Run) -> Headline:
    """The headline of either."""
    verdict, title, lead = _campaign(run) if run.kind == "campaign" else _rules(run)
    failed = failed_units(run)
    return Headline(
        verdict=verdict, title=title, lead=lead,
        figures=[*_own_figures(run), *_figures(run)], facts=run_facts(run),
        skipped=[Fact(unit["key"], unit["error"]) for unit in failed],
        warnings=[*run_warnings(run), *_node_warnings(run)],
    )  # fmt: skip


def _campaign(run: Run) -> tuple[str, str, str]:
    seeds = seed_rows(run)
    if not seeds:
        return "EMPTY", "Nothing was judged", "No seed was recorded in this run."
    alarms = sum(row["false_alarms"] for row in seeds)
    checks = sum(row["checks"] for row in seeds)
    lead = f"{alarms} of {checks:,} checks of the correct model were rejected, over "
    lead += f"{counted(len(seeds), 'seed')}."
    if run.end is None:
        return "FAIL" if alarms else "INCOMPLETE", "Not finished", lead
    missed = run.end["missed"]
    if alarms or run.end["passed"]:
        title = "The rule rejected a correct model" if alarms else "The rule did not err"
        return run.end["verdict"], title, lead
    return run.end["verdict"], "The rule missed a fault", f"{missed[0] if missed else ''}. {lead}"


def _rules(run: Run) -> tuple[str, str, str]:
    if run.end is None:
        lead = f"{counted(len(units_of(run)), 'part')} of the contest were done until then."
        return "INCOMPLETE", "Not finished", lead
    ours, others = run.end["scores"][-2], run.end["scores"][:-2]
    best = max(others, key=lambda score: score["caught"])
    lead = (
        f"It catches {ours['caught']} of {run.end['applicable']} faults with {ours['false']} false "
        f"alarms; the next is {best['rule']}: {best['caught']}, with {best['false']} of "
        f"{best['runs']}."
    )
    title = "This project's rule is the best" if run.end["verdict"] == "PASS" else "It is not"
    return run.end["verdict"], title, lead


def _own_figures(run: Run) -> list[Fact]:
    """A campaign's two figures, and how near a correct model came to a bound."""
    seeds = seed_rows(run)
    if not seeds:
        return []
    used = max((row["used"] for row in seeds if row["used"] is not None), default=None)
    facts = [Fact("false alarms", str(sum(row["false_alarms"] for row in seeds)))]
    if used is not None:
        facts.append(Fact("of the allowed error, at most", percent(used)))
    for regime, faults in ((run.end or {}).get("faults") or {}).items():
        facts.append(Fact(f"faults caught, {regime}", f"{faults['caught']} of "
                          f"{faults['applicable']}"))  # fmt: skip
    return facts


def _figures(run: Run) -> list[Fact]:
    """How much work it was, and where it was done."""
    units = [unit for unit in units_of(run) if not unit["error"]]
    nodes = Counter(unit["node"] for unit in units)
    seconds = sum(figure(unit["seconds"]) or 0.0 for unit in units)
    facts = [Fact("units of work", f"{len(units):,}", f"{duration(seconds)} in all")]
    if nodes.keys() - {"here"}:
        machines = len({unit["machine"] for unit in units})
        facts.append(Fact("nodes", str(len(nodes)), f"of {counted(machines, 'kind')} of machine"))
    return facts


def _node_warnings(run: Run) -> list[str]:
    return [
        f"Node {row['node']} was {row['state']}: {row['reason']}."
        for row in node_rows(run)
        if row["state"] in ("lost", "refused")
    ]
