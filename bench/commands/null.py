"""`python -m bench null`: how often is equal code called different here, and is a true 2% found?

Each replay is a whole benchmark of one model, as `python -m bench run` makes them: some generations
of some quads, in each of which the parts are given to other processes of the same code:

    baseline, again    the null of an ordinary run
    equal              must not be called different
    slower             wait 2%, 5% of each call's time, and should be found

Each of the last three is judged with the first two as its run, so that as many arms tell how much
processes differ as in a run with the default arms. Every two replays in a row are also compared as
`python -m bench compare` compares two runs of the same commit.

Processes are drawn from a pool that is made anew every `--renew` replays, or (`--pool 0`) made anew
for each; the intervals of the rates know which replays shared a pool (`bench.judge.rates`).
Meanwhile a further process loads the machine on purpose, in bursts, unless `--no-load` is given.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.arms.specs import ARMS, CANDIDATE
from bench.judge.parts import FEWEST_GENERATIONS
from bench.judge.statistics import turns
from bench.match.contestant import Contestant, check_weights
from bench.match.ledger import Ledger
from bench.match.pool import Processes
from bench.match.schedule import calls_per_turn, quads_for
from bench.match.turns import Match, Progress
from bench.plan.options import (
    add_subject,
    arms_option,
    blocks_option,
    natural,
    positive,
    processes_option,
)
from bench.plan.plan import PROCESSES, Plan
from bench.results import kept_luck
from bench.results.replays import (
    DELAYS,
    PARTS,
    Called,
    Replay,
    judged,
    machine_of,
    record_of,
    summary,
)
from bench.results.rows import pressure_pct
from bench.results.surroundings import environment_of
from bench.screen.live import LiveView
from bench.screen.tables import DISTURBED_PCT, shares_line
from bench.worker.process import Worker, WorkerError
from bench.workload.workload import Workload
from reference.load import load
from reports.commands import Parser, UsageError, exit_code_of, how_stopped, open_console
from reports.output.render import render
from reports.saved.environment import default_threads
from reports.saved.records import RunWriter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

FEWEST_POOLED = 24
"""A smaller pool would show the luck of its own processes."""

# Busy and idle for 20 to 300 ms by turns: half of one CPU, in bursts.
LOAD = """
import random, sys, time
from reports.commands import end_with_parent
end_with_parent(int(sys.argv[2]))
draw = random.Random(int(sys.argv[1]))
while True:
    end = time.perf_counter() + draw.uniform(0.02, 0.3)
    while time.perf_counter() < end:
        pass
    time.sleep(draw.uniform(0.02, 0.3))
"""


def main(argv: Sequence[str]) -> int:
    """Run the replays and print the rates; 0 where all are as they must be, else 1."""
    options = _parser().parse_args(argv)
    plan = _plan(options)
    console, ledger = open_console(), Ledger()
    command = ["python", "-m", "bench", "null", *argv]
    writer = RunWriter(
        "bench", command=command, environment=environment_of([plan]), out=options.out
    )
    replays: list[Replay] = []
    stop: KeyboardInterrupt | None = None
    with writer:
        try:
            for replay in _replays(plan, options, writer.folder, console, ledger):
                replays.append(replay)
                writer.write(record_of(replay, len(replays)))
        except KeyboardInterrupt as caught:
            stop = caught
        called = summary(replays) if replays else []
        for one in called:
            writer.write(one.record())
        passed = bool(called) and all(one.passed for one in called)
        if not stop:
            found = {"replays": len(replays), "passed": passed}
            writer.finish({**found, "shares": ledger.shares()})
    show(console, called)
    _keep(console, plan, replays, options)
    console.print(shares_line(ledger.shares()), style="dim", highlight=False)
    render(writer.folder)
    if stop:
        told = f"after {len(replays)} replays; the records are in {writer.folder}"
        print(f"bench: {how_stopped(stop)} {told}", file=sys.stderr)
        return exit_code_of(stop)
    return 0 if passed else 1


def show(console: Console, called: Sequence[Called]) -> None:
    """Print the rates; in red what is not as it must be."""
    for one in called:
        style = "" if one.passed else "bold red"
        console.print(one.sentence, style=style, markup=False, highlight=False)


def _keep(
    console: Console, plan: Plan, replays: Sequence[Replay], options: argparse.Namespace
) -> None:
    """Keep how much processes differ, for later runs here, and say it."""
    found = machine_of(replays, options.pool or len(PARTS) * plan.processes)
    if found is None:
        return
    text = (
        f"Processes of {plan.arms[0]} differ by {100 * math.sqrt(found.between / 2):.2f}% "
        "(standard deviation)"
    )
    pressures = [r.pressure_pct for r in replays if r.pressure_pct is not None]
    if pressures and float(np.median(pressures)) >= DISTURBED_PCT:
        text += "; that is not kept for later runs, because too much other work was running."
    else:
        text += f"; later runs here use that. It is kept in {kept_luck.keep(plan, found)}."
    console.print(text, style="dim", markup=False, highlight=False)


def _parser() -> Parser:
    parser = Parser(prog="python -m bench null", description=__doc__ and __doc__.split("\n\n")[1])
    add_subject(parser)
    arms_option(parser, ["torch"])
    blocks_option(parser, 120)
    processes_option(parser, PROCESSES)
    add = parser.add_argument
    add("--replays", type=positive, default=200, metavar="N", help="benchmarks to play (200)")
    add("--pool", type=natural, default=30, metavar="N",
        help="processes that replays are drawn from; 0 makes new ones for each (30)")  # fmt: skip
    add("--renew", type=positive, default=20, metavar="N",
        help="replays that a pool is good for (20)")  # fmt: skip
    add("-p", type=positive, default=16, metavar="N", help="tokens of the forward pass (16)")
    add("-t", "--threads", type=positive, default=1, metavar="N", help="CPUs of every arm (1)")
    add("--seed", type=natural, default=0, help="draws parts, turns, ids and bursts (0)")
    add("--no-load", action="store_true", help="do not load the machine on purpose")
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    if len(options.arms) != 1 or ARMS[options.arms[0]].peer or options.arms == [CANDIDATE]:
        raise UsageError("null: --arms takes one arm, which is not a peer and not the candidate")
    if options.threads > default_threads():
        raise UsageError(
            f"null: {options.threads} is more than the {default_threads()} usable CPUs"
        )
    if options.processes < FEWEST_GENERATIONS:
        raise UsageError(f"null: --processes must be {FEWEST_GENERATIONS} at least")
    at_once = len(PARTS) * options.processes
    if options.pool and options.pool < max(FEWEST_POOLED, at_once):
        raise UsageError(
            f"null: --pool must be {max(FEWEST_POOLED, at_once)} at least, so that each part has "
            "processes of its own, or 0"
        )
    checkpoint = load((options.model or ["tiny"])[0])
    if options.p > checkpoint.config.n_positions:
        raise UsageError(f"null: the model has {checkpoint.config.n_positions} positions")
    return Plan(
        model=checkpoint.name, revision=options.revision, config=checkpoint.config,
        weights_sha256=checkpoint.sha256, devices=["cpu"], arms=options.arms,
        workloads=[Workload(batch=1, n_prompt=options.p)], threads=[options.threads],
        budget_s=0.0, blocks=options.blocks, processes=options.processes, seed=options.seed,
    )  # fmt: skip


def _replays(
    plan: Plan, options: argparse.Namespace, folder: Path, console: Console, ledger: Ledger
) -> Iterator[Replay]:
    """Play them one after the other."""
    rng = np.random.default_rng(plan.seed)
    estimates_s: list[float] = []
    with ExitStack() as stack:
        view = stack.enter_context(LiveView(console))
        now = Progress("loading processes")

        def warm(worker: Worker) -> None:
            request = {"op": "warm", "workload": plan.workloads[0].as_dict()}
            estimates_s.append(worker.ask(request)["estimate_s"])

        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        arguments = plan.worker_arguments("referee", "cpu", plan.threads[0])
        referee = stack.enter_context(Worker(arguments, folder / "referee.log"))
        check_weights(referee.receive(), plan.weights_sha256)
        processes = stack.enter_context(
            Processes(plan, options.pool, options.renew, folder, warm, lambda: view(now))
        )
        started_s = time.monotonic()
        for done in range(options.replays):
            each_s = (time.monotonic() - started_s) / done if done else None
            left_s = each_s and each_s * (options.replays - done)
            now = Progress(
                f"replay {done + 1} of {options.replays}", done / options.replays, left_s
            )
            view(now)
            with ledger.spend("loading"):
                workers = processes.draw(len(PARTS) * plan.processes, rng)
            calls = {plan.workloads[0]: calls_per_turn(estimates_s)}
            with load_on_purpose(plan.seed + done, enabled=not options.no_load):
                played = _play(plan, workers, referee, scratch, ledger, calls)
            yield _judged(played, plan, processes.group)


def _play(
    plan: Plan, workers: Sequence[Worker], referee: Worker, scratch: Path, ledger: Ledger,
    calls: dict[Workload, int],
) -> dict[str, Contestant]:  # fmt: skip
    """One benchmark: in each generation every part has a process of its own."""
    assert plan.blocks is not None
    played = {part: _contestant(plan, part) for part in PARTS}
    quads = quads_for(plan.blocks, plan.processes)
    for generation in range(plan.processes):
        own = workers[generation * len(PARTS) : (generation + 1) * len(PARTS)]
        for contestant, worker in zip(played.values(), own, strict=True):
            contestant.worker, contestant.generation = worker, generation
        Match(
            plan, list(played.values()), referee, scratch, emit=lambda _: None, ledger=ledger,
            generation=generation, first_quad=generation * quads, calls=calls,
        ).play(range(quads))  # fmt: skip
    return played


def _contestant(plan: Plan, part: str) -> Contestant:
    label = plan.arms[0] if part == "baseline" else f"{plan.arms[0]}#{PARTS.index(part) + 1}"
    delay = DELAYS.get(part, 0.0)
    return Contestant(label, "cpu", plan.threads[0], plan.model, delay=delay)


def _judged(played: Mapping[str, Contestant], plan: Plan, group: int) -> Replay:
    for contestant in played.values():
        if contestant.error or contestant.disagreements:
            problem = contestant.error or next(iter(contestant.disagreements.values()))
            raise WorkerError(f"{contestant.label}: {problem}")
    name = plan.workloads[0].name
    times = {
        part: turns(contestant.samples[name], call="fastest") for part, contestant in played.items()
    }
    return judged(times, group, pressure_pct([*played.values()]))


@contextmanager
def load_on_purpose(seed: int, *, enabled: bool = True) -> Iterator[None]:
    """Another process that takes a CPU in bursts, until the block ends."""
    if not enabled:
        yield
        return
    command = [sys.executable, "-c", LOAD, str(seed), str(os.getpid())]
    process = subprocess.Popen(command, env=os.environ)
    try:
        yield
    finally:
        process.kill()
        process.wait()
