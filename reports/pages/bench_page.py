"""The page of a benchmark."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from reports.figures import (
    bars,
    course,
    roofline,
    scaling,
    speed,
    strips,
)
from reports.figures.arms import exactness, starts, token_latency
from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.load_page import is_load, load_headline, load_page
from reports.pages.rendering import render_page
from reports.tables.classes import finer_lines
from reports.tables.draws import inconclusive_lines, unfinished, warning
from reports.tables.numbers import brief, figure, interval, percent, short
from reports.tables.paired import name_of, standings
from reports.tables.rivals import nearest
from reports.tables.speed_sentence import answers, title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.saved.records import Run
    from reports.tables.paired import Cell

MOST_FIGURES = 6
"""Ratios on the first screen; the figure below it has them all."""

ROW_COLUMNS = (
    ("tokens/s", "tok_s", "short"), ("median", "median_s", "duration"),
    ("TTFT, ms", "ttft_ms", "short"), ("ITL, ms", "itl_ms", "short"),
    ("processes differ, %", "spread_processes_pct", "short"),
    ("quads of one, %", "spread_quads_pct", "short"),
    ("call after a pause", "paused_ratio", "short"), ("peak RSS, MiB", "peak_rss_mib", "short"),
    ("roofline, %", "roofline_pct", "short"), ("of its quads, %", "limit_pct", "short"),
    ("MFU", "mfu", "percent"), ("MBU", "mbu", "percent"),
)  # fmt: skip
"""Heading, key and format of the figures in the table of rows."""


class Lenient(dict[str, Any]):
    """A record that has None for a key that it lacks, as the schema says."""

    def __missing__(self, key: str) -> None:
        return None


def bench_page(run: Run) -> str:
    """The page of a benchmark, from its records."""
    if is_load(run):
        return load_page(run)
    rows = run.of("row")
    context: dict[str, Any] = {
        "head": bench_headline(run),
        "rows": [Lenient(row) for row in rows],
        "columns": [c for c in ROW_COLUMNS if any(figure(r.get(c[1])) is not None for r in rows)],
        "standings": [one for one in standings(run.records) if one.main and one.arms],
        "ratios": speed.ratios(run),
        "exactness": exactness.exactness(run),
        "positions": token_latency.by_position(run),
        "distributions": token_latency.distribution(run),
        "rooflines": roofline.rooflines(run),
        "courses": course.courses(run),
        "strips": strips.strips(run),
        "scalings": scaling.scalings(run),
        "fits": [Lenient(fit) for fit in run.of("scaling")],
        "memory": bars.memory(run),
        "phases": bars.phases(run),
        "starts": starts.start_chart(run),
        "copies": starts.host_copies(run),
        "layers": bars.layers(run),
        "ceilings": [Lenient(one) for one in run.of("ceiling")],
        "aids": {
            "memory": bars.MEMORY_AID, "layers": bars.LAYERS_AID, "copies": starts.COPIES_AID,
        },
    }  # fmt: skip
    tabs = [("speed", "Speed"), ("tokens", "Token by token"), ("memory", "Starting and memory"),
            ("course", "Samples"), ("layers", "Layers"), ("scaling", "Scaling"),
            ("run", "This run")]  # fmt: skip
    shown = {
        "speed": rows or context["ceilings"],
        "tokens": context["positions"],
        "course": context["courses"],
        "layers": context["layers"],
        "scaling": context["scalings"] or context["fits"],
        "memory": context["memory"] or context["phases"] or context["copies"],
        "run": True,
    }
    context["tabs"] = [(name, text) for name, text in tabs if shown[name]]
    return render_page("bench.html", run, context)


def bench_headline(run: Run) -> Headline:
    """The headline of a benchmark."""
    if is_load(run):
        return load_headline(run)
    verdict, title, lead = _verdict(run)
    skipped = {
        Fact(_row_name(row), _reasons(row)): None
        for row in run.of("row")
        if row.get("status") == "SKIP"
    }
    pressure = figure((run.end or {}).get("cpu_pressure_pct"))
    warnings = [*run_warnings(run), *_draws(run), *finer_lines(_first_runners(run))]
    if pressure is not None and pressure >= 5:
        warnings.append(
            f"While arms were timed, other programs took {pressure:.0f}% of their CPU time."
        )
    facts = [fact for fact in run_facts(run) if fact.name != "candidate"]
    facts += [Fact("time", shares, "of the wall time")] if (shares := _shares(run)) else []
    return Headline(
        verdict=verdict,
        title=title,
        lead=lead,
        figures=_figures(run),
        facts=facts,
        skipped=list(skipped),
        warnings=warnings,
    )


def _verdict(run: Run) -> tuple[str, str, str]:
    rows = run.of("row")
    if not rows:
        layers = len({record.get("tap") for record in run.of("layer")})
        if layers:
            return "MEASURED", "Time by layer", f"{layers} places of the model were timed alone."
        sentences = [record.get("sentence") for record in run.of("called")]
        if called := sentences or (run.end or {}).get("called"):
            text = ". ".join(map(str, called)) + "."
            return "MEASURED", "How often this machine misleads", text
        found = len(run.of("sample"))
        finish = as_called(f"python -m bench finish {run.folder}")
        how = f": {finish} makes them" if unfinished(run) else ""
        text = f"No rows were recorded ({found} samples were){how}."
        return "EMPTY", "Nothing to show", text
    statuses = Counter(str(row.get("status")) for row in rows)
    if set(statuses) == {"SKIP"}:
        return "SKIPPED", "Nothing was measured", "Everything was skipped; the reasons are below."
    told = " ".join(answers(run.records))
    name = title(run.records)
    if run.end is None:
        return "INCOMPLETE", name or "Not finished", f"{told} {_counted(statuses)}".strip()
    if statuses["ERROR"] or statuses["INVALID"]:
        lead = f"{told} {_counted(statuses)} {_first_reason(run)}"
        return "PARTLY", name or "Not everything counts", lead.strip()
    return "MEASURED", name or "Measured", f"{told} {_counted(statuses)}".strip()


def _first_runners(run: Run) -> list[Mapping[str, Any]]:
    return [row for row in run.of("row") if "#" not in str(row.get("arm"))]


def _shares(run: Run) -> str:
    """`loading 30%, timing 50%, ...`; nothing where a run does not tell."""
    shares = (run.end or {}).get("shares")
    wall_s = figure(shares.get("wall_s")) if isinstance(shares, dict) else None
    if not isinstance(shares, dict) or not wall_s:
        return ""
    return ", ".join(
        f"{name.removesuffix('_s')} {percent((figure(seconds) or 0.0) / wall_s)}"
        for name, seconds in shares.items()
        if name != "wall_s"
    )


def _draws(run: Run) -> list[str]:
    """What a reader of the ratios must know: draws, nulls that failed, what is not settled."""
    told = warning(run)
    failed = [
        f"The null of {null.get('workload')} failed: equal code differs by a ratio of "
        f"{brief(null.get('ratio'))}. One in twenty does so by chance."
        for null in run.of("null")
        if null.get("failed")
    ]
    unsettled = [] if told else [f"{line}." for line in _unsettled(run)]
    return [*([f"{told[0].upper()}{told[1:]}."] if told else []), *failed, *unsettled]


def _unsettled(run: Run) -> list[str]:
    """What would settle what is open between the own arm and others; in older runs, the effects."""
    own = next((one.own for one in standings(run.records)), "")
    pairs = [pair for pair in run.of("pair") if pair.get("versus") == own]
    if not pairs:
        return inconclusive_lines(run.of("effect"))
    return inconclusive_lines(pairs, f"INCONCLUSIVE beside {name_of(own)}:")


def _counted(statuses: Mapping[str, int]) -> str:
    parts = [f"{count} {status}" for status, count in statuses.items()]
    return f"Rows: {', '.join(parts)}. Only VALID rows have a speed."


def _first_reason(run: Run) -> str:
    for row in run.of("row"):
        if row.get("status") in ("ERROR", "INVALID"):
            return f"{_row_name(row)}: {_reasons(row)}"
    return ""


def _figures(run: Run) -> list[Fact]:
    """The own arm beside its nearest rival, by workload; without any, the speeds."""
    facts = [
        Fact(
            f"{one.workload}: time of {name_of(one.rival)} over {name_of(standing.own)}'s",
            brief(one.cell.ratio),
            _interval(one.cell),
        )
        for standing in standings(run.records)
        for one in nearest(standing)
    ]
    facts += [_called(record) for record in run.of("called")]
    if not facts:
        facts = [
            Fact(f"tokens/s: {_row_name(row)}", short(row["tok_s"]))
            for row in run.of("row")
            if figure(row.get("tok_s")) is not None
        ]
    return facts[:MOST_FIGURES]


def _interval(cell: Cell) -> str:
    """`95%: 1.20 to 1.44`."""
    found = interval(cell.low, cell.high)
    return f"95%: {found}" if found else "no interval"


def _called(record: Mapping[str, Any]) -> Fact:
    """How often a part of `python -m bench null` was called different."""
    part = str(record.get("part"))
    planted = part.partition("slower ")[2]
    name = f"of a planted +{planted} found" if planted else f"{part}: called different"
    shares = (percent(figure(record.get(key)) or 0.0) for key in ("ci_lo", "ci_hi"))
    return Fact(name, percent(figure(record.get("rate")) or 0.0), f"95%: {' to '.join(shares)}")


def _row_name(row: Mapping[str, Any]) -> str:
    return " ".join(str(row[key]) for key in ("workload", "arm", "device") if row.get(key))


def _reasons(row: Mapping[str, Any]) -> str:
    reasons = row.get("invalid_reasons")
    return "; ".join(map(str, reasons)) if isinstance(reasons, list) else str(reasons or "")
