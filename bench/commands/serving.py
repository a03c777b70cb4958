"""`python -m bench serve`: a load on servers, to tables, records, JSON and a page."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.judge.validity import why_package_unverified
from bench.peers import folder as peers_folder
from bench.results.surroundings import peer_versions
from bench.screen.load_tables import show_load
from bench.serving.course import Course
from bench.serving.cross_check import cross_check
from bench.serving.known import Truth
from bench.serving.load_effects import knees, load_effects
from bench.serving.load_options import known_of, load_parser, plan_of
from bench.serving.load_rows import load_rows
from bench.serving.server_arms import SERVERS
from reference.load import config_of, load
from reports.commands import CANNOT_RUN, as_called, exit_code_of, how_stopped, open_console
from reports.output.render import render
from reports.saved.environment import collect
from reports.saved.files import PAGE, write_json
from reports.saved.home import runs_root
from reports.saved.records import SCHEMA_VERSION, RunWriter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.serving.known import Known
    from bench.serving.load_plan import LoadPlan

    Record = dict[str, Any]

WRONG = 1
OWN = "max"
PACKAGE = "impl/serving"
"""What that arm serves, which must have passed as an architecture package."""
VERIFY = as_called(f"python -m verify package {PACKAGE} --model tiny")


def main(argv: Sequence[str]) -> int:
    """Measure, and return the exit code: 1 where an answer was wrong, 2 where a server failed."""
    options = load_parser().parse_args(argv)
    plan = plan_of(options)
    with Truth(plan.model, plan.revision) as truth:
        return carry_out(plan, known_of(plan, truth), options, argv)


def carry_out(
    plan: LoadPlan, known: Known, options: argparse.Namespace, argv: Sequence[str]
) -> int:
    """Measure into a run of its own, and return the exit code."""
    console = open_console(quiet=options.quiet)
    environment = _environment(plan)
    writer = RunWriter("bench", command=["python", "-m", "bench", "serve", *argv],
                       environment=environment, out=options.out)  # fmt: skip
    records: list[Record] = []
    stop: KeyboardInterrupt | None = None
    with writer:
        logs = writer.folder / "logs"
        logs.mkdir(exist_ok=True)

        def emit(record: Record) -> None:
            writer.write(record)
            records.append(record)

        def say(line: str) -> None:
            console.print(line, style="dim", markup=False, highlight=False)

        emit({"record": "load_plan", "plan": plan.as_dict()})
        try:
            Course.of(plan, known, emit, say, logs).run()
            if options.cross_check:
                cross_check(plan, known, emit, say, logs)
        except KeyboardInterrupt as caught:
            stop = caught
        results = results_of(records, plan, environment)
        for record in results:
            writer.write(record)
        if not stop:
            writer.finish(_summary(results))
    present_load(writer.folder, [*records, *results], environment, options)
    if stop:
        print(f"bench: {how_stopped(stop)}; the records are in {writer.folder}", file=sys.stderr)
        return exit_code_of(stop)
    return _exit_code(results)


def present_load(
    folder: Path, records: Sequence[Record], environment: Mapping[str, Any],
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Make the page, show the tables, and write what `--json` asks for."""
    render(folder, options.summary)
    show_load(open_console(), records, quiet=options.quiet)
    open_console().print(f"Report: {folder / PAGE}", highlight=False)
    if options.json:
        write_json(options.json, load_json(records, environment))


def results_of(
    records: Sequence[Record], plan: LoadPlan, environment: Mapping[str, Any]
) -> list[Record]:
    """Rows, ratios and knees, from what was recorded."""
    unproven = why_package_unverified(PACKAGE, environment, VERIFY, runs_root())
    rows = load_rows(records, plan, {OWN: unproven} if unproven else {})
    return [*rows, *load_effects(records, rows, plan), *knees(records, plan)]


def load_json(records: Sequence[Record], environment: Mapping[str, Any]) -> Record:
    """What `--json` writes."""

    def of(kind: str) -> list[Record]:
        return [{k: v for k, v in r.items() if k != "record"} for r in records
                if r["record"] == kind]  # fmt: skip

    return {"schema_version": SCHEMA_VERSION, "loads": of("load"), "effects": of("load_effect"),
            "knees": of("knee"), "starts": of("start"), "cross_checks": of("cross_check"),
            "environment": environment}  # fmt: skip


def _environment(plan: LoadPlan) -> Record:
    checkpoint = load(plan.model) if plan.model else None
    extra: Record = {"model": plan.model or plan.served, "seed": plan.seed,
                     "threads": [plan.threads], "checkpoint_notes": []}  # fmt: skip
    if plan.model:
        extra["config"] = asdict(config_of(plan.model))
    environment = collect(weights_sha256=checkpoint.sha256 if checkpoint else None, extra=extra)
    if any(SERVERS[arm].peer for arm in plan.arms if arm in SERVERS) and peers_folder().is_dir():
        environment["versions"] |= peer_versions()
    return environment


def _summary(results: Sequence[Record]) -> Record:
    found = [one["status"] for one in results if one["record"] == "load"]
    statuses = {status: found.count(status) for status in dict.fromkeys(found)}
    return {"rows": len(found), "statuses": statuses}


def _exit_code(results: Sequence[Record]) -> int:
    rows = [one for one in results if one["record"] == "load"]
    if any(row.get("wrong") for row in rows):
        return WRONG
    return CANNOT_RUN if not rows or any(row["status"] == "ERROR" for row in rows) else 0
