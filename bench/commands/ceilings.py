"""`python -m bench ceilings`: what this machine can read and multiply at most."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.match.ceiling_rates import Ceilings, kinds_for
from bench.plan.from_options import make_plans
from bench.plan.options import make_parser
from bench.results.as_json import results_json
from bench.results.surroundings import environment_of
from bench.worker.process import Worker
from reports.commands import open_console
from reports.saved.files import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan.plan import Plan

ROUNDS = 20


def main(argv: Sequence[str]) -> int:
    """Measure every ceiling in turns, and print each with its spread."""
    options = make_parser("ceilings").parse_args(argv)
    plans, _ = make_plans(options)
    console = open_console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("ceiling", "device", "threads", "dtype"):
        table.add_column(name)
    for name in ("best", "median", "unit"):
        table.add_column(name, justify="right")
    table.add_column("what")
    records = []
    for plan in plans:
        for device, threads in plan.groups:
            records += _measure(plan, device, threads, max(1, (plan.blocks or 2 * ROUNDS) // 2))
    for r in records:
        where = str(r["device"]), str(r["threads"]), str(r["dtype"])
        table.add_row(r["ceiling"], *where, f"{r['value']:,.1f}", f"{r['median']:,.1f}", r["unit"],
                      r["what"])  # fmt: skip
    console.print(table)
    if options.json:
        write_json(options.json, results_json(records, environment_of(plans)))
    return 0


def _measure(plan: Plan, device: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Some rounds of each kind, one after the other in every round."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        arguments = plan.worker_arguments("ceilings", device, threads)
        with Worker(arguments, Path(folder) / "ceilings.log") as worker:
            worker.receive()
            kinds = kinds_for(["float32", "bfloat16"], plan.workloads, device)
            ceilings = Ceilings(worker, plan.model, device, threads, kinds)
            for _ in range(rounds):
                ceilings.measure(lambda _: None)
            return ceilings.records()
