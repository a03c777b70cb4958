"""`python -m bench ceilings`: what this machine can read and multiply at most."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.match.ceiling_rates import Ceilings, kinds_for
from bench.plan.from_options import make_plans
from bench.plan.options import make_parser
from bench.results.as_json import results_json
from bench.results.surroundings import environment_of
from bench.worker.process import Worker
from reports.commands import exit_code_of, how_stopped, open_console
from reports.output.render import render
from reports.saved.files import PAGE, write_json
from reports.saved.records import RunWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.match.contestant import Emit
    from bench.plan.plan import Plan

ROUNDS = 20


def main(argv: Sequence[str]) -> int:
    """Measure every ceiling in turns, and print each with its spread."""
    options = make_parser("ceilings").parse_args([*argv, "--arms", "torch"])
    plans, _ = make_plans(options)
    command = ["python", "-m", "bench", "ceilings", *argv]
    environment = environment_of(plans)
    writer = RunWriter("bench", command=command, environment=environment, out=options.out)
    found: list[Ceilings] = []
    stop: KeyboardInterrupt | None = None
    with writer:
        try:
            for plan in plans:
                _measure(plan, writer.folder, writer.write, found)
        except KeyboardInterrupt as caught:
            stop = caught
        records = [record for ceilings in found for record in ceilings.records()]
        for record in records:
            writer.write(record)
        if not stop:
            writer.finish({"ceilings": len(records)})
    render(writer.folder, options.summary)
    console = open_console()
    console.print(ceilings_table(records))
    for line in missing_lines(found):
        console.print(line, style="dim", markup=False, highlight=False)
    console.print(f"Report: {writer.folder / PAGE}", highlight=False)
    if options.json:
        write_json(options.json, results_json(records, environment))
    if stop:
        print(f"bench: {how_stopped(stop)}; the records are in {writer.folder}", file=sys.stderr)
        return exit_code_of(stop)
    return 0


def ceilings_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Each ceiling with its spread."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("ceiling", "device", "threads", "dtype"):
        table.add_column(name)
    for name in ("best", "median", "unit"):
        table.add_column(name, justify="right")
    table.add_column("what")
    for r in records:
        where = str(r["device"]), str(r["threads"]), str(r["dtype"])
        table.add_row(r["ceiling"], *where, f"{r['value']:,.1f}", f"{r['median']:,.1f}", r["unit"],
                      r["what"])  # fmt: skip
    return table


def missing_lines(found: Iterable[Ceilings]) -> list[str]:
    """`No peak in bfloat16: this CPU lists no unit for it`, each once."""
    lines = [
        f"No {kind.ceiling.replace('_', ' ')} in {kind.dtype}: {reason}"
        for ceilings in found
        for kind, reason in ceilings.missing.items()
    ]
    return list(dict.fromkeys(lines))


def _measure(plan: Plan, logs: Path, emit: Emit, found: list[Ceilings]) -> None:
    """Some rounds of each kind, one after the other in every round; what is found is added."""
    rounds = max(1, (plan.blocks or 2 * ROUNDS) // 2)
    for device, threads in plan.groups:
        place = {"model": plan.model, "device": device, "threads": threads}
        emit({"record": "plan", **place, "plan": {**plan.as_dict(), "arms": []}})
        arguments = plan.worker_arguments("ceilings", device, threads)
        with Worker(arguments, logs / f"ceilings-{device}-t{threads}.log") as worker:
            worker.receive()
            ceilings = Ceilings(
                worker, plan.model, device, threads,
                kinds_for(["float32", "bfloat16", "int8"], plan.workloads, device),
                {workload.name: workload for workload in plan.workloads},
            )  # fmt: skip
            found.append(ceilings)
            for _ in range(rounds):
                ceilings.measure(emit)
