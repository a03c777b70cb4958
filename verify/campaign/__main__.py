"""`python -m verify campaign`: many random cases, to see whether the rule ever errs.

Each seed draws a state of the weights, a shape and token ids, and the correct MAX model is judged
on them as in every run. Whatever fails is a false alarm, printed with all that is needed to see it
again. Every tenth seed the faults are planted as well, by regime. Two figures come out: false
alarms of how many checks, and faults caught of how many.

A seed is a unit of work (`verify.fleet`): seeds are judged here, or spread over machines, with the
same records, and a run that was stopped is continued.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impl.runtime import DeviceError
from impl.weights import WeightsError
from reference.checkpoint import CheckpointError
from reference.dtypes import DECLARED
from reference.load import load
from reports.commands import (
    STOPPED,
    Parser,
    UsageError,
    cannot_run,
    check_written,
    duration,
    exit_code_of,
    how_stopped,
    open_console,
    terminable,
)
from reports.program import as_program
from reports.saved.environment import collect
from reports.saved.files import write_json
from reports.saved.records import RecordsError
from verify.campaign.seeds import Setting, prepared
from verify.campaign.tally import figures, tally_of
from verify.campaign.tally_table import show
from verify.fleet.fleet_options import add_on, check_on, how_to_resume, show_page
from verify.fleet.unit import FleetError, Spread, Unit
from verify.fleet.units_kept import KeptUnits
from verify.graph.errors import GraphError
from verify.options import add_json, add_padded_vocab
from verify.pairing.prepare import OUTPUTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from verify.campaign.tally import Tally
    from verify.fleet.unit import Done

KNOWN_ERRORS = (
    CheckpointError, DeviceError, FleetError, GraphError, RecordsError, WeightsError, ValueError,
)  # fmt: skip

JUDGE = "verify.campaign.seeds:judge_seed"


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0 without, 1 with a false alarm or a fault that was not caught.

    Ctrl-C and SIGTERM leave the records, the table and the figures of the seeds that were judged.
    """
    options = _parser().parse_args(argv)
    try:
        with terminable():
            return _judge_seeds(options, ["python", "-m", "verify", "campaign", *argv])
    except KeyboardInterrupt as stop:
        print(f"campaign: {how_stopped(stop)} before anything was judged", file=sys.stderr)
        return exit_code_of(stop)
    except KNOWN_ERRORS as error:
        return cannot_run("campaign", error)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m verify campaign",
        description="Judge many random cases: does the rule ever err?",
    )
    add = parser.add_argument
    add("--seeds", type=int, default=200, help="how many (default 200)")
    add("--start", type=int, default=0, help="the first seed; one alone shows a case again")
    add("--model", default="tiny", help="as in python -m verify")
    add("--device", default="cpu", help="cpu, gpu or gpu:N")
    add("--dtype", default="float32", choices=DECLARED, help="as in python -m verify")
    add("--quick", action="store_true", help="the traced graph in float64; nothing is compiled")
    add("--candidate", metavar="FILE.py:NAME", help="a correct model in place of impl's")
    add("--output", default="logits", choices=OUTPUTS, help="what the candidate returns")
    add_padded_vocab(parser)
    add(
        "--budget",
        type=duration,
        default=float("inf"),
        metavar="TIME",
        help="stop after a seed when this is spent: 90s, 10m, 1h",
    )
    add_on(parser)
    add("--out", type=Path, metavar="DIR", help="folder for the records; one that was begun is "
        "continued")  # fmt: skip
    add_json(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.seeds < 1 or options.start < 0:
        raise UsageError("--seeds must be at least 1, and --start not negative")
    check_written(options.json, "--json")
    check_on(options.on)
    if options.on and options.candidate:
        raise UsageError("--on is for impl's model: a --candidate is run where it is fenced, here")


def _judge_seeds(options: argparse.Namespace, command: Sequence[str]) -> int:
    _check(options)
    names = [field.name for field in fields(Setting)]
    setting = Setting(**{name: getattr(options, name) for name in names})
    sha256 = (load(options.model) if options.on else prepared(setting).checkpoint).sha256
    units = [
        Unit(f"seed {seed}", JUDGE, {"seed": seed, "weights_sha256": sha256, **asdict(setting)})
        for seed in range(options.start, options.start + options.seeds)
    ]
    environment = collect(weights_sha256=sha256, extra={"model": options.model})
    with KeptUnits(
        "campaign", units, command=command, environment=environment, out=options.out
    ) as kept:
        stop = _run(kept, options)
        code = _told(kept, stop, options, command)
    show_page(kept.folder)
    return code


def _run(kept: KeptUnits, options: argparse.Namespace) -> KeyboardInterrupt | None:
    """Judge seeds, at least one, until they or the budget are spent; returns what stopped it."""
    end = time.monotonic() + options.budget
    spread = Spread(options.on, cpus=options.cpus)
    try:
        with closing(kept.run(spread)) as found:
            for done in found:
                _say_alarms(done)
                if time.monotonic() > end:
                    break
    except KeyboardInterrupt as stop:
        return stop
    return None


def _say_alarms(done: Done) -> None:
    for record in done.records:
        for alarm in tally_of([record]).alarms:
            print(f"false alarm: {alarm}", file=sys.stderr)


def _told(
    kept: KeptUnits,
    stop: KeyboardInterrupt | None,
    options: argparse.Namespace,
    command: Sequence[str],
) -> int:
    """Show what was counted, and end the records where all of it was done."""
    tally, machines = tallies(kept.in_order())
    complete = tally.seeds == len(kept.units)
    if not tally.seeds and stop:
        raise stop
    show(open_console(), tally, machines)
    told = figures(tally) | _by_machine(machines)
    if complete:
        kept.finish({"verdict": "PASS" if tally.passed else "FAIL", **told})
    if options.json:
        write_json(options.json, told)
    if not complete:
        print(f"campaign: {how_to_resume(command, kept.folder)}", file=sys.stderr)
    if stop:
        judged = f"the table shows the {tally.seeds} seeds that were judged"
        print(f"campaign: {how_stopped(stop)}; {judged}", file=sys.stderr)
        return exit_code_of(stop)
    if kept.failed:
        why = next(iter(kept.failed.values())).error
        raise FleetError(f"{len(kept.failed)} seeds could not be judged: {why}")
    return 0 if tally.passed else 1


def tallies(found: Sequence[Done]) -> tuple[Tally, dict[str, Tally]]:
    """What was counted of all seeds, and of those of each CPU."""
    machines = dict.fromkeys(done.machine for done in found)
    by_machine = {
        machine: tally_of(r for done in found if done.machine == machine for r in done.records)
        for machine in machines
    }
    return tally_of(record for done in found for record in done.records), by_machine


def _by_machine(machines: dict[str, Tally]) -> dict[str, Any]:
    """Figures of unlike machines, apart; nothing where all are alike."""
    if len(machines) < 2:
        return {}
    return {"machines": {machine: figures(tally) for machine, tally in machines.items()}}


if __name__ == "__main__":
    code = as_program("verify", main)
    if code in STOPPED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
