"""`python -m verify.campaign`: many random cases, to see whether the rule ever errs.

Each seed draws a state of the weights, a shape and token ids, and the correct MAX model is judged
on them as in every run. Whatever fails is a false alarm, told with all that is needed to see it
again. Every `LOOK_EVERY` seeds the faults are planted as well, by regime. Two figures come out:
false alarms of how many checks, and faults told of how many.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from impl.runtime import DeviceError, build, open_device
from impl.weights import WeightsError, from_hugging_face
from reference.checkpoint import CheckpointError
from reference.dtypes import DTYPES, held_in
from reference.load import load
from reference.regimes import REGIMES, with_regime
from verify.candidate import Candidate
from verify.cases import plants_faults, probe_case, random_cases
from verify.checks import check_case
from verify.display import WIDTH, percent
from verify.power import Power
from verify.references import References

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from impl.config import GPT2Config
    from reference.checkpoint import Checkpoint
    from verify.candidate import BoundCandidate
    from verify.cases import Case
    from verify.rule import Check

MODES = ("isolated", "free", "plain", "logits", "matched")
"""Checks that judge the candidate; the others look at the run itself."""

BATCHES = (1, 2, 3, 4, 5)
LONGEST = 48
"""Lengths are drawn up to here: beyond every tile of 32, and short enough for hundreds of seeds."""

FULL_LENGTH_SHARE = 0.05
"""Of the seeds, those whose length is all of the model's positions."""

LOOK_EVERY = 10
"""Planting every fault costs as much as several cases."""

DRAWN_ANEW = ("init", "perturbed")
"""Regimes whose weights depend on the seed."""

INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended."""

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Draw:
    """What one seed stands for."""

    seed: int
    regime: str
    batch: int
    length: int


def draw(config: GPT2Config, seed: int) -> Draw:
    """Draw a regime and a shape; the same seed always draws the same."""
    rng = np.random.default_rng([seed, 3])
    full = rng.random() < FULL_LENGTH_SHARE
    length = int(rng.integers(1, min(LONGEST, config.n_positions) + 1))
    return Draw(
        seed=seed,
        regime=str(rng.choice(REGIMES)),
        batch=int(rng.choice(BATCHES)),
        length=config.n_positions if full else length,
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One check of the campaign, with the seed that shows it again."""

    seed: int
    regime: str
    case: str
    mode: str
    tap: str
    used: float | None
    message: str

    def __str__(self) -> str:
        """Everything that is needed to see it again, in a line."""
        used = "-" if self.used is None else f"{self.used:.3f}"
        where = f"seed {self.seed}, {self.case}, {self.mode}, {self.tap}"
        return f"{where}: used {used} {self.message}".rstrip()


@dataclass(slots=True)
class Tally:
    """What a campaign found; it grows while the campaign goes on.

    Attributes:
        seeds: how many were finished.
        checks: judged, by mode.
        nearest: the check with the largest share of the allowed error, by mode.
        alarms: every check that did not pass.
        power: what was seen of each fault, by regime.
    """

    seeds: int = 0
    checks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    nearest: dict[str, Judged] = field(default_factory=dict)
    alarms: list[Judged] = field(default_factory=list)
    power: Power = field(default_factory=Power)

    def add(self, drawn: Draw, check: Check) -> Judged | None:
        """Count one check; returns it where it is a false alarm."""
        if check.mode not in MODES:
            return None
        self.checks[check.mode] += 1
        judged = Judged(
            drawn.seed, drawn.regime, check.case, check.mode, check.tap, check.used, check.message
        )
        known = self.nearest.get(check.mode)
        if check.used is not None and (known is None or check.used > (known.used or 0.0)):
            self.nearest[check.mode] = judged
        if check.verdict == "PASS":
            return None
        self.alarms.append(judged)
        return judged

    def faults(self) -> dict[str, tuple[int, int]]:
        """For each regime, how many faults were told, and how many applied."""
        counts = {}
        for regime in sorted(self.power.seen, key=REGIMES.index):
            sightings = [sighting for sighting, _ in self.power.seen[regime].values()]
            applicable = [sighting for sighting in sightings if sighting.applicable]
            counts[regime] = (sum(sighting.told for sighting in applicable), len(applicable))
        return counts

    def untold(self) -> list[str]:
        """Each fault that applied in a regime and was not told there, in a line."""
        return [
            f"{sighting.fault}, {regime}, {case}: blamed on {sighting.blamed or 'nothing'}, "
            f"margin {sighting.margin:.2f}"
            for regime, seen in self.power.seen.items()
            for sighting, case in seen.values()
            if sighting.applicable and not sighting.told
        ]

    @property
    def passed(self) -> bool:
        """No false alarm, and no fault that applied was left untold."""
        return not self.alarms and not self.power.alarms.false and not self.untold()


class Campaign:
    """The correct MAX model, compiled once, on many states of the weights.

    Args:
        checkpoint: configuration and weights, as given.
        candidate: the compiled model.
        device: the name of the device where it runs.
        dtype: what it computes in.
    """

    def __init__(
        self, checkpoint: Checkpoint, candidate: Candidate, device: str, dtype: str = "float32"
    ) -> None:
        self.checkpoint = checkpoint
        self.dtype = dtype
        self.tally = Tally()
        self._device = device
        self._candidate = candidate
        self._kept: dict[str, tuple[BoundCandidate, References]] = {}

    def run(self, seed: int) -> Iterator[Judged]:
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
        self, drawn: Draw, case: Case, bound: BoundCandidate, references: References, *, look: bool
    ) -> Iterator[Judged]:
        expected = references.expectation(case, bound.program.given_taps)
        for check in check_case(case, bound, expected, self.dtype):
            if alarm := self.tally.add(drawn, check):
                yield alarm
        self.tally.power.alarms += expected.alarms
        if not plants_faults(case):
            return
        power = self.tally.power
        if look:
            power.look(case, references.oracle, expected, self.dtype)
        for check in power.matched_checks(case, bound, references.oracle, expected, self.dtype):
            if alarm := self.tally.add(drawn, check):
                yield alarm

    def _probe(self, drawn: Draw) -> Case:
        return probe_case(
            self.checkpoint.config, drawn.regime, seed=drawn.seed, device=self._device
        )

    def _state(self, drawn: Draw) -> tuple[BoundCandidate, References]:
        """The candidate and what it is compared with, on the weights that the seed drew."""
        if drawn.regime in self._kept:
            return self._kept[drawn.regime]
        checkpoint = with_regime(self.checkpoint, drawn.regime, seed=drawn.seed)
        weights = from_hugging_face(checkpoint.config, checkpoint.weights)
        bound = self._candidate.bind(held_in(self.dtype, weights))
        state = bound, References(checkpoint, self.dtype)
        if drawn.regime not in DRAWN_ANEW:
            self._kept[drawn.regime] = state
        return state


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0 without, 1 with a false alarm or an untold fault."""
    options = _parser().parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    try:
        _check(options)
        checkpoint = load(options.model)
        device = open_device(options.device)
        console.print("compiling the model (about a minute, seconds from then on)")
        campaign = Campaign(
            checkpoint,
            Candidate(build(checkpoint.config, device, DType[options.dtype]), device),
            options.device,
            options.dtype,
        )
    except (CheckpointError, DeviceError, WeightsError, ValueError) as error:
        print(f"campaign: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    interrupted = _run(campaign, range(options.start, options.start + options.seeds), options)
    show(console, campaign.tally)
    if options.json:
        text = json.dumps(figures(campaign.tally), indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    if interrupted:
        return INTERRUPTED
    return 0 if campaign.tally.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify.campaign", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, default=200, help="how many (default 200)")
    add("--start", type=int, default=0, help="the first seed; one alone shows a case again")
    add("--model", default="tiny", help="as in python -m verify")
    add("--device", default="cpu", help="cpu, gpu or gpu:N")
    add("--dtype", default="float32", choices=list(DTYPES), help="as in python -m verify")
    add(
        "--budget",
        type=seconds,
        default=float("inf"),
        metavar="TIME",
        help="stop after a seed when this is spent: 90s, 10m, 1h",
    )
    add("--json", type=Path, metavar="PATH", help="write the figures")
    return parser


def seconds(text: str) -> float:
    """`90s`, `10m`, `1.5h` or a bare number of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 10m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def _check(options: argparse.Namespace) -> None:
    if options.seeds < 1 or options.start < 0:
        raise ValueError("--seeds must be at least 1, and --start not negative")
    if options.json and not options.json.parent.is_dir():
        raise ValueError(f"--json: there is no folder {options.json.parent}")


def _run(campaign: Campaign, seeds: Iterable[int], options: argparse.Namespace) -> bool:
    """Run seeds, at least one, until they or the budget are spent; whether Ctrl-C ended it."""
    end = time.monotonic() + options.budget
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = progress.add_task("", total=options.seeds)
    try:
        with progress:
            for seed in seeds:
                progress.update(task, description=f"seed {seed}")
                for alarm in campaign.run(seed):
                    progress.console.print(f"false alarm: {alarm}", highlight=False)
                progress.advance(task)
                if time.monotonic() > end:
                    break
    except KeyboardInterrupt:
        return True
    return False


def show(console: Console, tally: Tally) -> None:
    """Print the table of checks, every false alarm, every untold fault, and both figures."""
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
    for line in tally.untold():
        console.print(f"untold: {line}", highlight=False)
    console.print(summary(tally), highlight=False)


def summary(tally: Tally) -> str:
    """Both figures, in three sentences."""
    told = ", ".join(f"{a} of {b} ({regime})" for regime, (a, b) in tally.faults().items())
    alarms = tally.power.alarms
    judged = sum(tally.checks.values())
    return (
        f"Seeds: {tally.seeds}. False alarms: {len(tally.alarms)} of {judged:,} checks of the MAX "
        f"model, {alarms.false} of {alarms.runs:,} on other evaluation orders. "
        f"Faults told: {told or 'none was planted'}."
    )


def figures(tally: Tally) -> dict[str, Any]:
    """The tally as `--json` writes it."""
    return {
        "seeds": tally.seeds,
        "checks": tally.checks,
        "false_alarms": [asdict(alarm) for alarm in tally.alarms],
        "nearest": {mode: asdict(judged) for mode, judged in tally.nearest.items()},
        "other_orders": {"runs": tally.power.alarms.runs, "false": tally.power.alarms.false},
        "faults": {
            regime: {"told": a, "applicable": b} for regime, (a, b) in tally.faults().items()
        },
        "untold": tally.untold(),
        "passed": tally.passed,
    }


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code == INTERRUPTED:
        sys.stdout.flush()
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
