"""Units measured, kept, shown; continued after a stop."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.fleet.places import places
from bench.fleet.unit_run import brief
from bench.screen.unit_tables import unit_line
from reports.commands import CANNOT_RUN, cannot_run, exit_code_of, how_stopped, open_console
from reports.output.render import render
from reports.saved.files import PAGE, write_json
from reports.saved.records import SCHEMA_VERSION, read_run
from reports.tables.numbers import counted
from reports.tables.units import failed, opened
from reports.waiting import about
from verify.fleet.fleet_options import check_on, how_to_resume
from verify.fleet.unit import FleetError, Spread
from verify.fleet.units_kept import KeptUnits

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.fleet.places import Place
    from reports.saved.records import Kind, Run
    from verify.fleet.unit import Done, Unit

DISAGREED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a command measures.

    Attributes:
        kind: of the run.
        units: from the machines that there are to the units.
        command: how it was started.
        environment: of the run.
        seconds: about how long a unit takes.
        show: prints an opened run.
    """

    kind: Kind
    units: Callable[[Sequence[Place]], list[Unit]]
    command: Sequence[str]
    environment: Mapping[str, Any]
    seconds: float
    show: Callable[[Console, Run], None]


def carry_out(work: Work, options: argparse.Namespace) -> int:
    """Measure what has not been measured, show all of it, and return the exit code."""
    check_on(options.on)
    spread = Spread(options.on, exclusive=True, most_load=options.most_load)
    folders: list[Path] = []
    try:
        code = _measure(work, spread, options, folders)
    except FleetError as error:
        code = cannot_run("bench", error)
    if not folders:
        return code
    show_run(folders[0], work.show, options)
    return code


def _measure(
    work: Work, spread: Spread, options: argparse.Namespace, folders: list[Path]
) -> int:  # fmt: skip
    """Measure; the run's folder is added as soon as there is one."""
    console = open_console(quiet=options.quiet)
    with places(spread) as found:
        units = work.units(found)
        kept = KeptUnits(
            work.kind, units, command=work.command, out=options.out, brief=brief,
            environment={**work.environment, "units": len(units)},
        )  # fmt: skip
        with kept:
            folders.append(kept.folder)
            left = len(kept.units) - len(kept.done)
            console.print(_forecast(len(kept.units), left, found, work.seconds), style="dim")
            try:
                for done in kept.run(spread, quiet=options.quiet):
                    console.print(_line(done), highlight=False, markup=False, soft_wrap=True)
            except KeyboardInterrupt as stop:
                print(f"bench: {how_stopped(stop)}; {_how(work, kept)}", file=sys.stderr)
                return exit_code_of(stop)
            except FleetError as error:
                return cannot_run("bench", error, _how(work, kept))
            if kept.failed:
                print(f"bench: {_how(work, kept)}", file=sys.stderr)
                return CANNOT_RUN
            kept.finish(_summary(kept))
    return DISAGREED if _disagreed(kept) else 0


def _how(work: Work, kept: KeptUnits) -> str:
    """How many units were measured, and how to go on."""
    measured = f"{len(kept.done)} of {counted(len(kept.units), 'unit')} were measured"
    return f"{measured}; {how_to_resume(work.command, kept.folder)}"


def _forecast(total: int, left: int, found: Sequence[Place], seconds: float) -> str:
    """How much there is to do, and about how long it takes."""
    before = f", {total - left} of them measured before" if left < total else ""
    where = counted(len(found), "machine")
    whole_s = seconds * -(-left // len(found))
    return f"{counted(total, 'unit')}{before}, on {where}: about {about(whole_s)}."


def _line(done: Done) -> str:
    said = done.error or unit_line(list(done.records)) or "measured"
    return f"{done.key} ({done.seconds:.0f} s): {said}"


def _summary(kept: KeptUnits) -> dict[str, Any]:
    statuses = Counter(
        record["status"] for done in kept.in_order() for record in done.records
        if record["record"] == "cell"
    )  # fmt: skip
    return {"units": len(kept.units), "statuses": dict(statuses)}


def _disagreed(kept: KeptUnits) -> bool:
    """Whether the timed outputs of some unit disagree with the reference."""
    runs = (one for done in kept.done.values() for one in done.records)
    return any(one["record"] == "unit_run" and one["code"] == DISAGREED for one in runs)


def show_run(
    folder: Path, show: Callable[[Console, Run], None], options: argparse.Namespace
) -> None:
    """Make the page and what else was asked for, and print the tables and the page's path."""
    render(folder, options.summary)
    run = opened(read_run(folder))
    console = open_console()
    if not options.quiet:
        show(console, run)
    console.print(f"Report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if options.json:
        write_json(options.json, as_json(run))


def as_json(run: Run) -> dict[str, Any]:
    """An opened run for programs; `reports/SCHEMA.md` tells the keys."""
    kinds = {"cells": "cell", "machines": "machine", "ceilings": "machine_ceiling"}
    return {
        "schema_version": SCHEMA_VERSION,
        **{name: [_plain(one) for one in run.of(kind)] for name, kind in kinds.items()},
        "failed": [{"unit": key, "reason": reason} for key, reason in failed(run)],
        "run": str(run.folder),
        "environment": run.environment,
    }


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "record"}
