"""`python -m verify.rules`: this project's rule and published ones on the same faults.

Two questions are put to every rule. Which faults of the catalogue does it catch, and does it blame
the right place? And does it reject runs that are correct, but were computed in another order?

Published rules see whole runs: the float64 oracle with the fault in it, rounded to float32, beside
PyTorch's run in float32. This project's rule sees single stages, the probe's included, as in every
run of `python -m verify`. Only probed stages show some faults at all; that is part of the rule.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from reference.checkpoint import CheckpointError
from reference.load import load
from reference.regimes import with_regime
from reference.trace import INPUT, Recorder
from verify.arithmetic import Blocked, Pairwise, evaluations
from verify.cases import PROBE, PROBE_SIZE, WIDE_SIZE, probe_case, random_cases
from verify.catalogue import catalogue
from verify.display import WIDTH
from verify.faults import Planted
from verify.power import sight_in
from verify.published import PUBLISHED
from verify.references import References
from verify.rule import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reference.checkpoint import Checkpoint
    from reference.oracle import Oracle
    from reference.trace import Array, Trace
    from verify.cases import Case
    from verify.faults import Fault
    from verify.rule import Envelope

OURS = "this project"
NAMES = (*(rule.name for rule in PUBLISHED), OURS)
REGIMES = ("given", "perturbed", "stress")
DTYPE = "float32"

CORRECT = (Blocked, Pairwise)
"""The orders of `verify.arithmetic` that compute every row, so that they can be run whole."""

CORRECT_SIZES = ((1, 1), (1, 9), PROBE_SIZE, (1, 128))
CORRECT_SEEDS = range(3)

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- rules: begin -->", "<!-- rules: end -->"


@dataclass(frozen=True, slots=True)
class Catch:
    """What one rule made of one fault on one case.

    Attributes:
        rule, fault: their names.
        applicable: whether the fault changes anything that float32 can show there.
        caught: whether the rule rejected anything.
        right: whether what it rejected first is where the fault is; None if it cannot tell.
    """

    rule: str
    fault: str
    applicable: bool
    caught: bool
    right: bool | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """What one rule made of one correct run: the first place that it rejected, or nothing."""

    rule: str
    run: str
    rejected: str | None


# ---- faults --------------------------------------------------------------------------------------


def fault_cases(references: References, regime: str) -> list[Case]:
    """Two rows for every fault, a wide and a full-length case for those that need them, a probe."""
    config = references.checkpoint.config
    sizes = [PROBE_SIZE, WIDE_SIZE, (1, config.n_positions)]
    cases = random_cases(config, regime, sizes, seed=0, device="cpu")
    return [*cases, probe_case(config, regime, seed=0, device="cpu")]


def wanted(fault: Fault, case: Case, n_positions: int) -> bool:
    """Whether the fault is planted in this case: in the larger ones only where it has to be."""
    if not fault.fits(case.ids, n_positions):
        return False
    return case.ids.shape == PROBE_SIZE or not fault.fits(np.zeros(PROBE_SIZE), n_positions)


def catches(checkpoint: Checkpoint, regime: str) -> Iterator[Catch]:
    """Every rule on every fault on every case of one regime."""
    references = References(with_regime(checkpoint, regime), DTYPE)
    oracle = references.oracle
    for case in fault_cases(references, regime):
        faults = [f for f in catalogue(DTYPE) if wanted(f, case, oracle.config.n_positions)]
        expected = references.expectation(case, output_taps(oracle, case.ids))
        for fault in faults:
            sighting = sight_in(fault, oracle, case, expected, DTYPE)
            right = sighting.blamed == sighting.expected
            yield Catch(OURS, fault.id, sighting.applicable, sighting.caught, right)
            if case.label != PROBE:
                found = free_run(fault, oracle, case.ids)
                yield from _published(
                    fault.id, sighting.expected, sighting.applicable, found,
                    expected.torch_free, expected.free,
                )  # fmt: skip


def _published(
    fault: str, expected: str, applicable: bool, found: Trace, reference: Trace, truth: Trace
) -> Iterator[Catch]:
    for rule in PUBLISHED:
        first = rule.rejected(found, reference, truth)
        right = first == expected if rule.every_tap else None
        yield Catch(rule.name, fault, applicable, first is not None, right)


def free_run(fault: Fault, oracle: Oracle, ids: Array) -> Trace:
    """The trace of the whole model with the fault in one block, rounded to float32."""
    planted = Planted(oracle, fault, fault.layer(oracle.config.n_layer))
    planted.tap = recorder = Recorder()
    with np.errstate(all="ignore"):  # a fault may overflow: that is its point
        planted.language_model(ids)
        return {tap: _rounded(array) for tap, array in recorder.trace.items()}


def _rounded(array: Array) -> Array:
    return array.astype(DTYPE) if np.issubdtype(array.dtype, np.floating) else array


def output_taps(oracle: Oracle, ids: Array) -> list[str]:
    """Where stages are cut: every module's output."""
    return [tap for tap in oracle.trace(ids[:1, :1]) if not tap.endswith(INPUT)]


# ---- correct runs --------------------------------------------------------------------------------


def alarms(checkpoint: Checkpoint, regime: str, seed: int) -> Iterator[Alarm]:
    """Every rule on every correct run of one regime and seed."""
    references = References(with_regime(checkpoint, regime, seed=seed), DTYPE)
    config = checkpoint.config
    sizes = [(batch, min(length, config.n_positions)) for batch, length in CORRECT_SIZES]
    cases = random_cases(config, regime, sizes, seed=seed, device="cpu")
    models = evaluations(references.checkpoint)
    for case in [*cases, probe_case(config, regime, seed=seed, device="cpu")]:
        yield from _ours(references, models, case)
        if case.label == PROBE:
            continue
        reference, truth = references.torch.trace(case.ids), references.oracle.trace(case.ids)
        for model in models:
            if isinstance(model, CORRECT):
                found = model.trace(case.ids)
                for rule in PUBLISHED:
                    run = run_name(model, case)
                    yield Alarm(rule.name, run, rule.rejected(found, reference, truth))


def run_name(model: Oracle, case: Case) -> str:
    """What a correct run is called; a probe belongs to the run on the same ids."""
    return f"{type(model).__name__}, {case.name.replace(f'{PROBE}-', '')}, seed {case.seed}"


def _ours(references: References, models: Sequence[Oracle], case: Case) -> Iterator[Alarm]:
    """This project's rule, by an envelope that leaves the judged evaluation out."""
    taps = output_taps(references.oracle, case.ids)
    for model in models:
        if not isinstance(model, CORRECT):
            continue
        expected = references.expectation(case, taps, without=type(model))
        found = model.trace(case.ids, expected.given)
        rejected = first_failure(found, expected.isolated, expected.isolated_envelope)
        if expected.free and rejected is None:
            found = model.trace(case.ids)
            rejected = first_failure(found, expected.free, expected.free_envelope)
            rejected = rejected and f"{rejected} (free)"
        yield Alarm(OURS, run_name(model, case), rejected)


def first_failure(
    found: Mapping[str, Array], truth: Mapping[str, Array], bounds: Mapping[str, Envelope]
) -> str | None:
    """The first tap that this project's rule rejects, with the share of the allowed error."""
    for tap, array in truth.items():
        judgement = judge(found[tap], array, bounds[tap], DTYPE)
        if judgement.verdict != "PASS":
            return f"{tap}: used {judgement.used or float('nan'):.3f}"
    return None


# ---- the tables ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the matrix.

    Attributes:
        rule: its name.
        caught: faults that it catches in any case, by id.
        right: faults that it blames on the right place in any case; None if it cannot blame.
        false: correct runs that it rejects.
        runs: correct runs that it saw.
    """

    rule: str
    caught: frozenset[str]
    right: frozenset[str] | None
    false: int
    runs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found.

    Attributes:
        scores: one for each rule.
        applicable: faults that change something in any case, in the catalogue's order.
        probe_only: those of them that change something in the probe's stages alone.
        alarms: what this project's rule rejected among correct runs.
    """

    scores: tuple[Score, ...]
    applicable: tuple[str, ...]
    probe_only: tuple[str, ...]
    alarms: tuple[Alarm, ...]

    @property
    def holds(self) -> bool:
        """Whether this project's rule catches most, and rejects no correct run."""
        *others, ours = self.scores
        most = max(len(score.caught) for score in others)
        return len(ours.caught) > most and ours.false == 0


def compare(found: Sequence[Catch], judged: Sequence[Alarm]) -> Comparison:
    """Count what the rules made of faults and of correct runs."""
    seen = {catch.fault for catch in found if catch.applicable}
    free = {catch.fault for catch in found if catch.applicable and catch.rule != OURS}
    order = [fault.id for fault in catalogue(DTYPE)]
    return Comparison(
        scores=tuple(_score(name, found, judged) for name in NAMES),
        applicable=tuple(name for name in order if name in seen),
        probe_only=tuple(name for name in order if name in seen - free),
        alarms=tuple(alarm for alarm in judged if alarm.rule == OURS and alarm.rejected),
    )


def _score(name: str, found: Iterable[Catch], judged: Iterable[Alarm]) -> Score:
    caught = [c for c in found if c.rule == name and c.applicable and c.caught]
    blames = any(catch.right is not None for catch in caught)
    rejected = {alarm.run for alarm in judged if alarm.rule == name and alarm.rejected}
    return Score(
        rule=name,
        caught=frozenset(catch.fault for catch in caught),
        right=frozenset(catch.fault for catch in caught if catch.right) if blames else None,
        false=len(rejected),
        runs=len({alarm.run for alarm in judged if alarm.rule == name}),
    )


def rows(comparison: Comparison) -> Iterator[tuple[str, str, str, str, str]]:
    """The matrix, number and name of the rule first."""
    total = len(comparison.applicable)
    for number, score in enumerate(comparison.scores, 1):
        right = "-" if score.right is None else str(len(score.right))
        caught, false = f"{len(score.caught)} of {total}", f"{score.false} of {score.runs}"
        yield str(number), score.rule, caught, right, false


HEADER = ("", "rule", "faults caught", "right place", "false alarms")


def rules_table(comparison: Comparison) -> Table:
    """The matrix for a terminal."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in HEADER:
        table.add_column(name, justify="left" if name == "rule" else "right", no_wrap=True)
    for row in rows(comparison):
        table.add_row(*row)
    return table


def markdown(comparison: Comparison, command: str) -> str:
    """Both tables as Markdown: the matrix, and which rule catches which fault."""
    sources = [rule.source for rule in PUBLISHED] + ["`verify/rule.py`, stage by stage"]
    lines = [f"`{command}` wrote this section.", "", *_table_head([*HEADER, "source"])]
    lines += [
        f"| {' | '.join(row)} | {source} |"
        for row, source in zip(rows(comparison), sources, strict=True)
    ]
    lines += ["", *_notes(comparison), "", *_kill_matrix(comparison)]
    return "\n".join(lines)


def _notes(comparison: Comparison) -> list[str]:
    probe_only = ", ".join(f"`{name}`" for name in comparison.probe_only) or "none"
    return [
        (
            "Right place: what the rule rejects first is where the fault is. A dash: it sees "
            "logits alone. False alarms: correct float32 runs in another order of evaluation, "
            "rejected anywhere; this project's rule has not seen that order. "
            f"Faults that only the probe's stages show: {probe_only}."
        )
    ]


def _kill_matrix(comparison: Comparison) -> list[str]:
    numbers = [str(number) for number in range(1, len(comparison.scores) + 1)]
    lines = _table_head(["fault", *numbers])
    for fault in comparison.applicable:
        marks = ["x" if fault in score.caught else "." for score in comparison.scores]
        lines.append(f"| {fault} | {' | '.join(marks)} |")
    return lines


def _table_head(names: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]


def updated(text: str, section: str) -> str:
    """`text` with what stands between the markers replaced.

    Raises:
        ValueError: where a marker is missing, or they stand in the wrong order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


# ---- the command ---------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 1 where this project's rule is not the best."""
    parser = argparse.ArgumentParser(prog="python -m verify.rules", description=__doc__)
    parser.add_argument("--model", default="tiny", help="as in python -m verify")
    parser.add_argument("--update", action="store_true", help="rewrite the tables in the README")
    options = parser.parse_args(argv)
    try:
        if options.update:
            updated(_readme(), "")
        checkpoint = load(options.model)
    except (CheckpointError, ValueError) as error:
        print(f"rules: {error}", file=sys.stderr)
        return 2
    comparison = _compared(checkpoint)
    show(Console(width=None if sys.stdout.isatty() else WIDTH), comparison)
    if options.update:
        command = " ".join(["python -m verify.rules", *argv])
        README.write_text(updated(_readme(), markdown(comparison, command)), encoding="utf-8")
    return 0 if comparison.holds else 1


def _readme() -> str:
    if not README.is_file():
        raise ValueError(f"there is no {README.name} to update")
    return README.read_text(encoding="utf-8")


def _compared(checkpoint: Checkpoint) -> Comparison:
    """Everything, regime by regime, with a bar that tells how far it has come."""
    found: list[Catch] = []
    judged: list[Alarm] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        steps = [(regime, seed) for regime in REGIMES for seed in CORRECT_SEEDS]
        task = progress.add_task("", total=len(REGIMES) + len(steps))
        for regime in REGIMES:
            progress.update(task, description=f"{regime}: faults", advance=1)
            found += catches(checkpoint, regime)
        for regime, seed in steps:
            progress.update(task, description=f"{regime}: correct runs", advance=1)
            judged += alarms(checkpoint, regime, seed)
    return compare(found, judged)


def show(console: Console, comparison: Comparison) -> None:
    """Print the matrix, and what does not hold."""
    console.print(rules_table(comparison))
    for line in _notes(comparison):
        console.print(line, highlight=False)
    for alarm in comparison.alarms:
        console.print(f"false alarm: {alarm.run}, {alarm.rejected}", highlight=False)
    missed = set(comparison.applicable) - comparison.scores[-1].caught
    if missed:
        console.print(f"missed by {OURS}'s rule: {', '.join(sorted(missed))}", highlight=False)
    if not comparison.holds:
        console.print(f"{OURS}'s rule is not the best of these.", style="bold red")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
