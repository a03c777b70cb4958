"""`python -m bench machines`: what each machine can do at most, and the same short run on each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.sweep import checked, how
from bench.fleet.carried_out import Work, carry_out, show_run
from bench.fleet.machine_unit import SIZES
from bench.fleet.sweep_plan import arms_by_dtype
from bench.plan.sweep_options import machines_parser
from bench.results.surroundings import environment_of
from bench.screen.unit_tables import show_machines
from reports.commands import UsageError, check_appended, check_written
from reports.saved.environment import collect, default_threads
from reports.saved.records import RunWriter, read_run
from verify.fleet.unit import Unit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from bench.fleet.places import Place
    from reports.saved.records import Run

FUNCTION = "bench.fleet.machine_unit:measure"
CEILINGS_S = 20.0
"""About what the ceilings alone take, before the run."""


def main(argv: Sequence[str]) -> int:
    """Measure every machine, or put together what was measured; returns the exit code."""
    options = machines_parser().parse_args(argv)
    command = ["python", "-m", "bench", "machines", *argv]
    if options.sources:
        return _put_together(options, command)
    options.models, options.revision, options.threads = [options.model], None, [1]
    arms = arms_by_dtype(options.arms, ["float32"])["float32"]
    plans = checked(options, arms, SIZES)
    words = ["--arms", ",".join(arms), *how(options)]

    def units(found: Sequence[Place]) -> list[Unit]:
        return [_unit(place, words, options) for place in found]

    work = Work(
        kind="machines", units=units, command=command,
        environment={**environment_of(plans), "threads": default_threads()},
        seconds=options.budget_each + CEILINGS_S, show=show_machines,
    )  # fmt: skip
    return carry_out(work, options)


def _unit(place: Place, words: Sequence[str], options: argparse.Namespace) -> Unit:
    key = f"{place.cpu} {place.name}"
    arguments = {"words": list(words), "model": options.model, "device": options.device}
    return Unit(key, FUNCTION, arguments, place=place.name)


def _put_together(options: argparse.Namespace, command: Sequence[str]) -> int:
    """A table of what several runs found."""
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")
    runs = [_source(Path(name)) for name in options.sources]
    models = ", ".join(dict.fromkeys(str(run.environment.get("model")) for run in runs))
    environment = collect(extra={"model": models})
    writer = RunWriter("machines", command=command, environment=environment, out=options.out)
    with writer:
        units = [unit for run in runs for unit in run.of("unit") if not unit["error"]]
        for number, unit in enumerate(units):
            writer.write(_taken(unit, number + 1))
        writer.finish({"units": len(units), "statuses": {}})
    show_run(writer.folder, show_machines, options)
    return 0


def _taken(unit: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A unit of another run: its number tells it from others of its name, its run stays there."""
    records = [{**one, "run": ""} if one["record"] == "unit_run" else one
               for one in unit["records"]]  # fmt: skip
    return {**unit, "key": f"{unit['key']} ({number})", "records": records}


def _source(folder: Path) -> Run:
    run = read_run(folder)
    if run.kind != "machines":
        raise UsageError(f"--from: {folder} holds a run of {run.kind}, not of machines")
    return run
