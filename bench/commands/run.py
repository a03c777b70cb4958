"""`python -m bench run`: arms beside each other, to a table, records and JSON."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from bench.arms.specs import CANDIDATE, spec_of
from bench.judge.validity import Verified, why_unverified
from bench.match import group as runs
from bench.plan.from_options import make_plans
from bench.plan.options import make_parser
from bench.plan.overhead import overhead_s
from bench.results.as_json import results_json
from bench.results.effects import make_effects, make_nulls
from bench.results.fit import make_scaling
from bench.results.rows import make_rows, pressure_pct, skip_row
from bench.results.surroundings import environment_of
from bench.screen.live import LiveView
from bench.screen.tables import notes, show
from reports.commands import CANNOT_RUN, exit_code_of, how_stopped, open_console
from reports.output.render import render
from reports.saved.files import PAGE, write_json
from reports.saved.records import ROOT, RunWriter
from reports.waiting import about

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.match.group import Group
    from bench.plan.plan import Plan

    Record = dict[str, Any]

DISAGREED = 1


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
        The exit code, and every record but samples.
    """
    environment = environment_of(plans)
    console = open_console()
    writer = RunWriter("bench", command=command, environment=environment, out=options.out)
    with writer:
        unverified = _unverified(plans, environment)
        _warn(console, plans, unverified)
        _say_how_long(console, plans)
        for (model, device, engine), reason in unverified.items():
            place = {"model": model, "device": device, "engine": engine}
            writer.write({"record": "unverified", **place, "reason": reason})
        groups, stop = _measure(plans, writer, console)
        records = results_of(groups, unverified)
        if skipped:
            records.append(skip_row("max", "gpu", skipped))
        for record in records:
            writer.write(record)
        if not stop:
            writer.finish(_summary(groups, records))
    render(writer.folder, options.summary)
    if stop and not any(c.samples for group in groups for c in group.contestants):
        told = f"before anything was measured; the records are in {writer.folder}"
        print(f"bench: {how_stopped(stop)} {told}", file=sys.stderr)
        return exit_code_of(stop), records
    show(console, records)
    idle = idle_cpu_pct(groups)
    if idle is not None:
        told = f"An idle worker took {idle:.2f}% of a CPU."
        console.print(told, style="dim", highlight=False)
    for note in notes(records, pressure_pct([c for g in groups for c in g.contestants])):
        console.print(note, style="yellow", markup=False, highlight=False)
    console.print(f"Report: {_relative(writer.folder) / PAGE}", highlight=False)
    if options.json:
        write_json(options.json, results_json(records, environment))
    if stop:
        told = f"the table shows what was measured; the records are in {writer.folder}"
        print(f"bench: {how_stopped(stop)}; {told}", file=sys.stderr)
        return exit_code_of(stop), records
    return _exit_code(groups, records), records


def results_of(groups: Sequence[Group], unverified: Mapping[Any, str]) -> list[Record]:
    """Rows, nulls, effects and ceilings of every group."""
    records: list[Record] = []
    for group in groups:
        reasons = {(d, e): text for (model, d, e), text in unverified.items()
                   if model == group.plan.model}  # fmt: skip
        rows = make_rows(group, reasons)
        nulls = make_nulls(group, rows)
        ceilings = group.ceilings.records() if group.ceilings else []
        records += [memory for arm in group.contestants for memory in arm.memory_records()]
        records += [*rows, *nulls, *make_effects(group, rows, nulls), *ceilings]
    return records + make_scaling(records)


def _unverified(
    plans: Sequence[Plan], environment: Mapping[str, Any]
) -> dict[tuple[str, str, str], str]:
    """By model, device and engine, why that MAX model is not verified."""
    return {
        (plan.model, device, engine): why_unverified(
            Verified(
                command=_verify_command(plan, engine),
                weights_sha256=plan.weights_sha256,
                impl_sha256=environment["impl_sha256"],
                max_version=environment["versions"]["max"],
                device=device,
                engine="" if engine == CANDIDATE else engine,
                **_named(plan, engine),
            ),
            ROOT,
        )
        for plan in plans
        for device in plan.devices
        for engine in dict.fromkeys(spec_of(arm).engine for arm in plan.arms if _candidate(arm))
    }


def _named(plan: Plan, engine: str) -> dict[str, str]:
    """Whose file must have been verified, where it is not impl's model."""
    if engine != CANDIDATE or plan.named is None:
        return {}
    return {"candidate": plan.named.candidate, "candidate_sha256": plan.named.sha256}


def _candidate(arm: str) -> bool:
    return spec_of(arm).candidate


def _verify_command(plan: Plan, engine: str) -> str:
    parts = ["python -m verify --model", plan.model]
    parts += ["--revision", plan.revision] if plan.revision else []
    parts += ["--seed", str(plan.seed)] if plan.seed and plan.model.startswith("random:") else []
    if engine == CANDIDATE and plan.named:
        return " ".join([*parts, *plan.named.arguments])
    parts += ["--engines", engine] if engine not in ("", "auto") else []  # auto is the default
    return " ".join(parts)


def _warn(console: Console, plans: Sequence[Plan], unverified: Mapping[Any, str]) -> None:
    """Say at once, rather than after a minute, that rows will have no speed."""
    for (model, device, engine), reason in unverified.items():
        if reason:
            which = f"{model}, " if len(plans) > 1 else ""
            kind = f"MAX's engine {engine}" if engine else "MAX's model without a cache"
            kind = "The candidate" if engine == CANDIDATE else kind
            text = f"{kind} ({which}{device}) will show no speed: {reason}"
            console.print(text, style="yellow", markup=False, highlight=False)


def _say_how_long(console: Console, plans: Sequence[Plan]) -> None:
    """Say before anything begins what the budget covers, and what comes on top of it."""
    measuring = sum(plan.budget_s for plan in plans if plan.blocks is None)
    what = f"about {about(measuring)} of measuring" if measuring else "as many turns as asked for"
    found = [overhead_s(plan, ROOT) for plan in plans]
    ready = sum(seconds for seconds, _ in found)
    unknown = list(dict.fromkeys(name for _, names in found for name in names))
    rest = f", about {about(ready)} in an earlier run here" if ready else ""
    new = f" ({', '.join(unknown)}: not known on this machine yet)" if unknown else ""
    text = f"This takes {what}; loading, compiling and judging outputs come on top{rest}{new}."
    console.print(text, style="dim", markup=False, highlight=False)


def _measure(
    plans: Sequence[Plan], writer: RunWriter, console: Console
) -> tuple[list[Group], KeyboardInterrupt | None]:
    """Measure with a live display; returns what was measured, and what stopped it."""
    groups: list[Group] = []
    with ExitStack() as stack:
        view = stack.enter_context(LiveView(console))
        try:
            for plan in plans:
                for group in runs.measure(plan, writer.write, _logs(writer.folder), view):
                    groups.append(group)
                    view.group = group
        except KeyboardInterrupt as stop:
            return groups, stop
    return groups, None


def _logs(folder: Path) -> Path:
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return logs


def _summary(groups: Sequence[Group], records: Sequence[Record]) -> dict[str, Any]:
    found = [record["status"] for record in records if record["record"] == "row"]
    return {
        "rows": len(found),
        "statuses": {status: found.count(status) for status in dict.fromkeys(found)},
        "cpu_pressure_pct": pressure_pct([c for group in groups for c in group.contestants]),
        "idle_cpu_pct": idle_cpu_pct(groups),
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


def _exit_code(groups: Sequence[Group], records: Sequence[Record]) -> int:
    contestants = [contestant for group in groups for contestant in group.contestants]
    if any(contestant.disagreements for contestant in contestants):
        return DISAGREED
    rows = [record for record in records if record["record"] == "row"]
    return CANNOT_RUN if any(row["status"] == "ERROR" for row in rows) else 0


def _relative(folder: Path) -> Path:
    from pathlib import Path

    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
