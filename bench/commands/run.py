"""`python -m bench run`: arms beside each other, to a table, records and JSON."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psutil

from bench.arms.specs import CANDIDATE
from bench.match import group as runs
from bench.match.group import Hall
from bench.match.ledger import Ledger
from bench.plan.forecast import forecast
from bench.plan.from_options import make_plans
from bench.plan.options import make_parser
from bench.results.as_json import results_json
from bench.results.kept_luck import luck_record
from bench.results.rows import pressure_pct, skip_row
from bench.results.surroundings import environment_of
from bench.results.unverified import unverified_of
from bench.results.whole import make_results
from bench.screen.live import LiveView
from bench.screen.tables import notes, shares_line, show
from reports.commands import CANNOT_RUN, as_called, exit_code_of, how_stopped, open_console
from reports.output.render import render
from reports.saved.files import PAGE, write_json
from reports.saved.home import runs_root
from reports.saved.records import RunWriter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.match.group import Group
    from bench.plan.plan import Plan
    from bench.results.unverified import Reasons

    Record = dict[str, Any]

DISAGREED = 1
REPORT_S = 3.0
"""What rows, tables and the page take at the end, on two cores."""


def main(argv: Sequence[str], command: str = "run") -> int:
    """Measure, and return the exit code."""
    options = make_parser(command).parse_args(argv)
    plans, skipped = make_plans(options)
    code, _ = carry_out(plans, skipped, options, ["python", "-m", "bench", command, *argv])
    return code


def carry_out(
    plans: Sequence[Plan], skipped: str, options: argparse.Namespace, command: Sequence[str]
) -> tuple[int, list[Record]]:
    """Measure all plans into one run.

    Returns:
        The exit code, and every record of results.
    """
    ledger = Ledger(time.monotonic() - age_s())
    environment = environment_of(plans)
    console = open_console(quiet=options.quiet)
    writer = RunWriter("bench", command=command, environment=environment, out=options.out)
    groups: list[Group] = []
    try:
        with writer:
            unverified = unverified_of(plans, environment, runs_root())
            _warn(console, plans, unverified)
            for (model, device, engine), reason in unverified.items():
                place = {"model": model, "device": device, "engine": engine}
                writer.write({"record": "unverified", **place, "reason": reason})
            budget_s = plans[0].budget_s if plans[0].blocks is None else None
            for line in forecast(plans, runs_root()).lines(budget_s):
                console.print(line, style="dim", markup=False, highlight=False)
            for plan in plans:
                for note in plan.notes:
                    console.print(f"{plan.model}: {note}", highlight=False, markup=False)
            stop = _measure(plans, groups, writer, ledger, console)
            records = make_results(groups, unverified)
            records += [skip_row("max", "gpu", skipped)] if skipped else []
            for record in records:
                writer.write(record)
            if not stop:
                writer.finish(_summary(groups, records, ledger))
        if stop and not _any_samples(groups):
            render(writer.folder, options.summary)
            print(f"bench: {how_stopped(stop)} {_too_soon(writer)}", file=sys.stderr)
            return exit_code_of(stop), records
        present(console, writer.folder, groups, records, options)
        console.print(shares_line(ledger.shares()), style="dim", highlight=False)
    except KeyboardInterrupt as late:
        told = f" {_too_soon(writer)}"
        if _any_samples(groups):
            finish = as_called(f"`python -m bench finish {writer.folder}`")
            told = f"; {finish} makes rows and a page of what was recorded"
        print(f"bench: {how_stopped(late)}{told}", file=sys.stderr)
        return exit_code_of(late), []
    if options.json:
        write_json(options.json, results_json(records, environment))
    if stop:
        told = f"the table shows what was measured; the records are in {writer.folder}"
        print(f"bench: {how_stopped(stop)}; {told}", file=sys.stderr)
        return exit_code_of(stop), records
    return _exit_code(groups, records), records


def _any_samples(groups: Sequence[Group]) -> bool:
    return any(c.samples for group in groups for c in group.contestants)


def _too_soon(writer: RunWriter) -> str:
    return f"before anything was measured; the records are in {writer.folder}"


def present(
    console: Console,
    folder: Path,
    groups: Sequence[Group],
    records: Sequence[Record],
    options: argparse.Namespace,
) -> None:
    """Make the page, and show the tables and what a reader should know."""
    render(folder, options.summary)
    if options.quiet:
        console = open_console()
        console.print(rows_line(records), highlight=False)
        console.print(_report(folder), highlight=False)
        return
    show(console, records)
    idle = idle_cpu_pct(groups)
    if idle is not None:
        told = f"An idle worker took {idle:.2f}% of a CPU."
        console.print(told, style="dim", highlight=False)
    for note in notes(records, pressure_pct([c for g in groups for c in g.contestants])):
        console.print(note, style="yellow", markup=False, highlight=False)
    console.print(_report(folder), highlight=False)


def rows_line(records: Sequence[Record]) -> str:
    """How many rows have which status: `9 rows: 8 VALID, 1 SKIP`."""
    statuses = Counter(record["status"] for record in records if record["record"] == "row")
    said = ", ".join(f"{count} {status}" for status, count in statuses.items())
    return f"{statuses.total()} rows{': ' if said else ''}{said}"


def _report(folder: Path) -> str:
    return f"Report: {_relative(folder) / PAGE}"


def age_s() -> float:
    """How long this process has run, starting the interpreter included."""
    return max(0.0, time.time() - psutil.Process().create_time())


def _warn(console: Console, plans: Sequence[Plan], unverified: Reasons) -> None:
    """Say at once, rather than after a minute, that rows will have no speed."""
    for (model, device, engine), reason in unverified.items():
        if reason:
            which = f"{model}, " if len(plans) > 1 else ""
            kind = f"MAX's engine {engine}" if engine else "MAX's model without a cache"
            kind = "The candidate" if engine == CANDIDATE else kind
            text = f"{kind} ({which}{device}) will show no speed: {reason}"
            console.print(text, style="yellow", markup=False, highlight=False)


def _measure(
    plans: Sequence[Plan], groups: list[Group], writer: RunWriter, ledger: Ledger, console: Console
) -> KeyboardInterrupt | None:
    """Measure with a live display, into `groups`; returns what stopped it."""
    end_s = ledger.start_s + plans[0].budget_s - REPORT_S
    with ExitStack() as stack:
        view = stack.enter_context(LiveView(console))
        hall = Hall(writer.write, _logs(writer.folder), view, ledger)
        try:
            for number, plan in enumerate(plans):
                now_s = time.monotonic()
                share_s = (end_s - now_s) / (len(plans) - number)
                for group in runs.measure(plan, hall, now_s + share_s):
                    known = luck_record(plan.model, group.device, group.threads, plan.arms)
                    writer.write(known)
                    group.take(known)
                    groups.append(group)
                    view.group = group
        except KeyboardInterrupt as stop:
            return stop
    return None


def _logs(folder: Path) -> Path:
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return logs


def _summary(groups: Sequence[Group], records: Sequence[Record], ledger: Ledger) -> dict[str, Any]:
    found = [record["status"] for record in records if record["record"] == "row"]
    return {
        "rows": len(found),
        "statuses": {status: found.count(status) for status in dict.fromkeys(found)},
        "cpu_pressure_pct": pressure_pct([c for group in groups for c in group.contestants]),
        "idle_cpu_pct": idle_cpu_pct(groups),
        "shares": ledger.shares(),
    }


def idle_cpu_pct(groups: Sequence[Group]) -> float | None:
    """Share of a CPU that one idle worker took while others were timed; None without samples."""
    used_s, idle_s = 0.0, 0.0
    for group in groups:
        others = len(group.contestants) - 1
        for samples in (s for c in group.contestants for s in c.samples.values()):
            turns = [sample for sample in samples if sample["call"] == 0]
            used_s += sum(turn["others_cpu_s"] for turn in turns)
            idle_s += others * sum(turn["wall_s"] for turn in turns)
    return 100 * used_s / idle_s if idle_s else None


def _relative(folder: Path) -> Path:
    from pathlib import Path

    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _exit_code(groups: Sequence[Group], records: Sequence[Mapping[str, Any]]) -> int:
    contestants = [contestant for group in groups for contestant in group.contestants]
    if any(contestant.disagreements for contestant in contestants):
        return DISAGREED
    rows = [record for record in records if record["record"] == "row"]
    return CANNOT_RUN if any(row["status"] == "ERROR" for row in rows) else 0
