"""`python -m bench null`: how often is equal code called different here, and is a true 5% found?

Four processes run the same model. In each replay they are given, by chance, four parts: the
baseline, the null's second runner, an equal arm, and an arm that waits 5% of each call's time. Then
a whole benchmark of some quads is played, and judged as any other. Meanwhile a further process
loads the machine on purpose, in bursts, unless `--no-load` is given.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from scipy import stats

from bench.arms.specs import ARMS, CANDIDATE
from bench.judge.statistics import time_ratio, turns
from bench.judge.verdict import judge, margin_of
from bench.match.contestant import Contestant, check_weights
from bench.match.turns import Match, Progress
from bench.plan.options import add_subject, arms_option, blocks_option, natural, positive
from bench.plan.plan import Plan
from bench.results.surroundings import environment_of
from bench.screen.live import LiveView
from bench.worker.process import Worker, WorkerError
from bench.workload.workload import Workload
from reference.load import load
from reports.commands import Parser, UsageError, exit_code_of, how_stopped
from reports.output.render import render
from reports.saved.environment import default_threads
from reports.saved.records import RunWriter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bench.judge.verdict import Judgement

PLANTED = 0.05
MOST_WRONG, LEAST_FOUND = 0.08, 0.85
"""What a run must show: a nominal 5% with room for chance in 200 replays, and useful power."""

PARTS = ("baseline", "again", "equal", "slower")

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


@dataclass(frozen=True, slots=True)
class Replay:
    """One small benchmark.

    Attributes:
        equal: what was said of the equal arm.
        slower: what was said of the arm with the planted delay.
        ratio: of the equal arm to the baseline.
        slower_ratio: of the slower arm to the baseline.
        margin: the null's.
    """

    equal: Judgement
    slower: Judgement
    ratio: float
    slower_ratio: float
    margin: float | None


def main(argv: Sequence[str]) -> int:
    """Run the replays and print both rates; 0 where both are as they must be, else 1."""
    options = _parser().parse_args(argv)
    plan = _plan(options)
    console = Console()
    command = ["python", "-m", "bench", "null", *argv]
    writer = RunWriter(
        "bench", command=command, environment=environment_of([plan]), out=options.out
    )
    with writer:
        replays: list[Replay] = []
        stop: KeyboardInterrupt | None = None
        try:
            for replay in _replays(plan, options, writer.folder, console):
                replays.append(replay)
                writer.write(_record(replay, len(replays)))
        except KeyboardInterrupt as caught:
            stop = caught
        lines, passed = summary(replays) if replays else ([], False)
        if not stop:
            writer.finish({"replays": len(replays), "passed": passed, "told": lines})
    for line in lines:
        console.print(line, markup=False, highlight=False)
    render(writer.folder)
    if stop:
        told = f"after {len(replays)} replays; the records are in {writer.folder}"
        print(f"bench: {how_stopped(stop)} {told}", file=sys.stderr)
        return exit_code_of(stop)
    return 0 if passed else 1


def summary(replays: Sequence[Replay]) -> tuple[list[str], bool]:
    """Both rates in sentences, and whether they are as they must be."""
    count = len(replays)
    wrong = sum(replay.equal.verdict in ("FASTER", "SLOWER") for replay in replays)
    found = sum(replay.slower.verdict == "SLOWER" for replay in replays)
    said = [replay.equal.verdict for replay in replays]
    kinds = ", ".join(f"{said.count(kind)} {kind}" for kind in dict.fromkeys(sorted(said)))
    middle = float(np.median([replay.slower_ratio for replay in replays]))
    equal = (
        f"{count} replays of equal code: {wrong} called different, {_share(wrong, count)}; "
        f"nominal 5%, at most {MOST_WRONG:.0%} passes ({kinds})"
    )
    slower = (
        f"{count} replays of a planted +{PLANTED:.0%}: {found} called SLOWER, "
        f"{_share(found, count)}; at least {LEAST_FOUND:.0%} passes (median ratio {middle:.3f})"
    )
    return [equal, slower], wrong <= MOST_WRONG * count and found >= LEAST_FOUND * count


def _share(part: int, count: int) -> str:
    """A percentage with its 95% interval (Clopper and Pearson)."""
    interval = stats.binomtest(part, count).proportion_ci()
    return f"{part / count:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _parser() -> Parser:
    parser = Parser(prog="python -m bench null", description=__doc__ and __doc__.split("\n\n")[1])
    add_subject(parser)
    arms_option(parser, ["torch"])
    blocks_option(parser, 60)
    add = parser.add_argument
    add("--replays", type=positive, default=200, metavar="N", help="benchmarks to play (200)")
    add("-p", type=positive, default=16, metavar="N", help="tokens of the forward pass (16)")
    add("-t", "--threads", type=positive, default=1, metavar="N", help="CPUs of every arm (1)")
    add("--seed", type=natural, default=0, help="draws parts, turns, ids and bursts (0)")
    add("--no-load", action="store_true", help="do not load the machine on purpose")
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    if len(options.arms) != 1 or ARMS[options.arms[0]].peer or options.arms == [CANDIDATE]:
        raise UsageError("null: --arms takes one arm, which is no peer and no candidate")
    if options.threads > default_threads():
        raise UsageError(
            f"null: {options.threads} is more than the {default_threads()} usable CPUs"
        )
    checkpoint = load((options.model or ["tiny"])[0], seed=options.seed)
    if options.p > checkpoint.config.n_positions:
        raise UsageError(f"null: the model has {checkpoint.config.n_positions} positions")
    return Plan(
        model=checkpoint.name, revision=options.revision, config=checkpoint.config,
        weights_sha256=checkpoint.sha256, devices=["cpu"], arms=options.arms,
        workloads=[Workload(batch=1, n_prompt=options.p)], threads=[options.threads],
        budget_s=0.0, blocks=options.blocks, seed=options.seed,
    )  # fmt: skip


def _replays(
    plan: Plan, options: argparse.Namespace, folder: Path, console: Console
) -> Iterator[Replay]:
    """Play them one after the other on the same four processes."""
    rng = np.random.default_rng(plan.seed)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        arguments = plan.worker_arguments(plan.arms[0], "cpu", plan.threads[0])
        logs = [folder / f"worker-{index}.log" for index in range(len(PARTS))]
        workers = [stack.enter_context(Worker(arguments, log)) for log in logs]
        referee = stack.enter_context(
            Worker(plan.worker_arguments("referee", "cpu", plan.threads[0]), folder / "referee.log")
        )
        for worker in (*workers, referee):
            check_weights(worker.receive(), plan.weights_sha256)
        view = stack.enter_context(LiveView(console))
        if not options.no_load:
            stack.enter_context(load_on_purpose(plan.seed))
        first_quad = 0
        for done in range(options.replays):
            view(Progress(f"replay {done + 1} of {options.replays}", done / options.replays))
            parts = dict(zip(PARTS, rng.permutation(len(PARTS)), strict=True))
            played = {part: _contestant(plan, part, workers[parts[part]]) for part in PARTS}
            Match(
                plan, list(played.values()), referee, scratch, lambda _: None, lambda _: None,
                budget_s=0.0, first_quad=first_quad,
            ).play()  # fmt: skip
            first_quad += plan.blocks or 0
            yield _judged(played, plan)


def _contestant(plan: Plan, part: str, worker: Worker) -> Contestant:
    delay = PLANTED if part == "slower" else 0.0
    label = plan.arms[0] if part == "baseline" else f"{plan.arms[0]}#{PARTS.index(part) + 1}"
    return Contestant(label, "cpu", plan.threads[0], plan.model, worker, delay)


def _judged(played: dict[str, Contestant], plan: Plan) -> Replay:
    for contestant in played.values():
        if contestant.error or contestant.disagreements:
            problem = contestant.error or next(iter(contestant.disagreements.values()))
            raise WorkerError(f"{contestant.label}: {problem}")
    name = plan.workloads[0].name
    times = {part: turns(contestant.samples[name]) for part, contestant in played.items()}
    null, equal, slower = (
        time_ratio(times[part], times["baseline"], plan.seed) for part in PARTS[1:]
    )
    assert null is not None
    assert equal is not None
    assert slower is not None
    margin = margin_of(null)
    return Replay(judge(equal, margin), judge(slower, margin), equal.value, slower.value, margin)


def _record(replay: Replay, number: int) -> dict[str, Any]:
    return {
        "record": "replay", "replay": number, "ratio": replay.ratio,
        "verdict": replay.equal.verdict, "slower_ratio": replay.slower_ratio,
        "slower_verdict": replay.slower.verdict, "margin": replay.margin,
    }  # fmt: skip


@contextmanager
def load_on_purpose(seed: int) -> Iterator[None]:
    """Another process that takes a CPU in bursts, until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", LOAD, str(seed), str(os.getpid())])
    try:
        yield
    finally:
        process.kill()
        process.wait()
