"""`python -m verify campaign`: many random cases, to see whether the rule ever errs.

Each seed draws a state of the weights, a shape and token ids, and the correct MAX model is judged
on them as in every run. Whatever fails is a false alarm, printed with all that is needed to see it
again. Every `LOOK_EVERY` seeds the faults are planted as well, by regime. Two figures come out:
false alarms of how many checks, and faults caught of how many.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from max.dtype import DType
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from threadpoolctl import threadpool_limits

from impl.compiling import announced_to
from impl.runtime import DeviceError, build, open_device
from impl.weights import WeightsError
from reference.checkpoint import CheckpointError
from reference.dtypes import DECLARED, rounded
from reference.load import load
from reference.regimes import with_regime
from reports.commands import (
    STOPPED,
    WIDTH,
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
from reports.saved.files import write_json
from reports.saved.records import RecordsError
from reports.tables.numbers import percent
from reports.waiting import Waiting, print_line
from verify.candidate.model_graphs import trace_model
from verify.candidate.observation import Observation
from verify.checks.stages import check_case
from verify.graph.errors import GraphError
from verify.options import add_json, add_padded_vocab
from verify.pairing.prepare import OUTPUTS, prepare, subject_of
from verify.pairing.translated import PairedCandidate, held_weights
from verify.tally import MODES, Draw, JudgedCheck, Tally, draw, figures, summary
from verify.truth.cases import plants_faults, probe_case, random_cases
from verify.truth.float64 import Mathematics
from verify.truth.references import References

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from reference.checkpoint import Checkpoint
    from verify.candidate.model_graphs import BoundCandidate, Candidate
    from verify.truth.cases import Case


LOOK_EVERY = 10
"""Planting every fault costs as much as several cases."""

DRAWN_ANEW = ("init", "perturbed")
"""Regimes whose weights depend on the seed."""


class Campaign:
    """The correct MAX model, compiled once, on many states of the weights.

    Args:
        checkpoint: configuration and weights, as given.
        candidate: the compiled model.
        device: the name of the device where it runs.
        dtype: what it computes in.
        quick: judge the traced graph in float64; nothing is compiled.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        candidate: Candidate | PairedCandidate,
        device: str,
        dtype: str = "float32",
        *,
        quick: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.dtype = dtype
        self.quick = quick
        self.tally = Tally()
        self._device = device
        self._candidate = candidate
        self._kept: dict[str, tuple[BoundCandidate, References | Mathematics]] = {}

    def run(self, seed: int) -> Iterator[JudgedCheck]:
        """Judge one seed; yields its false alarms."""
        drawn = draw(self.checkpoint.config, seed)
        bound, references = self._state(drawn)
        shape = (drawn.batch, drawn.length)
        cases = random_cases(
            self.checkpoint.config, drawn.regime, [shape], seed=seed, device=self._device
        )
        look = seed % LOOK_EVERY == 0
        if look:
            cases.append(self._probe(drawn))
        for case in cases:
            yield from self._judge(drawn, case, bound, references, look=look)
        self.tally.seeds += 1

    def _judge(
        self,
        drawn: Draw,
        case: Case,
        bound: BoundCandidate,
        references: References | Mathematics,
        *,
        look: bool,
    ) -> Iterator[JudgedCheck]:
        expected = references.expectation(case, bound.program.given_taps)
        observed = Observation(bound, expected)
        for check in check_case(observed, expected):
            if alarm := self.tally.add(drawn, check):
                yield alarm
        self.tally.power.alarms += expected.alarms
        if not plants_faults(case):
            return
        power = self.tally.power
        if look:
            power.look(expected, self._candidate.forced_taps)
        for check in power.matched_checks(observed, expected):
            if alarm := self.tally.add(drawn, check):
                yield alarm

    def _probe(self, drawn: Draw) -> Case:
        return probe_case(
            self.checkpoint.config, drawn.regime, seed=drawn.seed, device=self._device
        )

    def _state(self, drawn: Draw) -> tuple[BoundCandidate, References | Mathematics]:
        """The candidate and what it is compared with, on the weights that the seed drew."""
        if drawn.regime in self._kept:
            return self._kept[drawn.regime]
        checkpoint = with_regime(self.checkpoint, drawn.regime, seed=drawn.seed)
        state: tuple[BoundCandidate, References | Mathematics]
        if self.quick:
            mathematics = Mathematics(rounded(checkpoint, self.dtype))
            weights = held_weights(self._candidate, mathematics.checkpoint, self.dtype)
            state = self._candidate.evaluated(weights), mathematics
        else:
            references = References(checkpoint, self.dtype)
            weights = held_weights(self._candidate, references.checkpoint, self.dtype)
            state = self._candidate.bind(weights), references
        if drawn.regime not in DRAWN_ANEW:
            self._kept[drawn.regime] = state
        return state


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0 without, 1 with a false alarm or a fault that was not caught.

    Ctrl-C and SIGTERM leave the table and the figures of the seeds that were judged.
    """
    options = _parser().parse_args(argv)
    try:
        with terminable():
            return _judge_seeds(options, open_console())
    except KeyboardInterrupt as stop:
        print(f"campaign: {how_stopped(stop)} before anything was judged", file=sys.stderr)
        return exit_code_of(stop)


def _judge_seeds(options: argparse.Namespace, console: Console) -> int:
    try:
        _check(options)
        checkpoint = load(options.model)
        device = open_device(options.device)
        candidate: Candidate | PairedCandidate
        if options.candidate:
            subject = subject_of(
                options.candidate, None, options.output, checkpoint.config.n_layer,
                padded_vocab=options.padded_vocab,
            )  # fmt: skip
            candidate = prepare(subject, checkpoint, options.device, DType[options.dtype])
        else:
            candidate = trace_model(build(checkpoint.config, device, DType[options.dtype]), device)
        campaign = Campaign(
            checkpoint, candidate, options.device, options.dtype, quick=options.quick
        )
        if not options.quick:
            with announced_to(Waiting(print_line)):
                candidate.compile()
    except (CheckpointError, DeviceError, WeightsError, GraphError, ValueError) as error:
        return cannot_run("campaign", error)
    stop = _run(campaign, range(options.start, options.start + options.seeds), options)
    show(console, campaign.tally)
    if options.json:
        try:
            write_json(options.json, figures(campaign.tally))
        except RecordsError as error:
            return cannot_run("campaign", error)
    if stop:
        judged = f"the table shows the {campaign.tally.seeds} seeds that were judged"
        print(f"campaign: {how_stopped(stop)}; {judged}", file=sys.stderr)
        return exit_code_of(stop)
    return 0 if campaign.tally.passed else 1


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
    add_json(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.seeds < 1 or options.start < 0:
        raise UsageError("--seeds must be at least 1, and --start not negative")
    check_written(options.json, "--json")


def _run(
    campaign: Campaign, seeds: Iterable[int], options: argparse.Namespace
) -> KeyboardInterrupt | None:
    """Run seeds, at least one, until they or the budget are spent; returns what stopped it."""
    end = time.monotonic() + options.budget
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = progress.add_task("", total=options.seeds)
    try:
        with progress, threadpool_limits(1 if campaign.quick else None, "blas"):
            for seed in seeds:
                progress.update(task, description=f"seed {seed}")
                for alarm in campaign.run(seed):
                    progress.console.print(f"false alarm: {alarm}", highlight=False)
                progress.advance(task)
                if time.monotonic() > end:
                    break
    except KeyboardInterrupt as stop:
        return stop
    return None


def show(console: Console, tally: Tally) -> None:
    """Print the table of checks, every false alarm, every missed fault, and both figures."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in ("check", "judged", "false alarms", "largest used", "where"):
        table.add_column(name, overflow="fold")
    for mode in MODES:
        nearest = tally.nearest.get(mode)
        false = sum(alarm.mode == mode for alarm in tally.alarms)
        where = f"seed {nearest.seed}, {nearest.case}, {nearest.tap}" if nearest else ""
        used = percent(nearest.used) if nearest else "-"
        table.add_row(mode, f"{tally.checks[mode]:,}", str(false), used, where)
    console.print(table)
    for alarm in tally.alarms:
        console.print(f"false alarm: {alarm}", highlight=False)
    for line in tally.missed():
        console.print(f"missed: {line}", highlight=False)
    console.print(summary(tally), highlight=False)


if __name__ == "__main__":
    code = as_program("verify", main)
    if code in STOPPED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
