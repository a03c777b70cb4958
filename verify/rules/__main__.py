"""`python -m verify rules`: this project's rule and published ones on the same faults.

Two questions are put to every rule. Which faults of the catalogue does it catch, and does it blame
the right place? And does it reject runs that are correct, but were computed in another order?

Published rules see whole runs: the float64 oracle with the fault in it, rounded to float32, next to
PyTorch's run in float32. This project's rule sees single stages, the probe's included, as in every
run of `python -m verify`. Only probed stages show some faults at all; that is part of the rule.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from reference.checkpoint import CheckpointError
from reference.load import load
from reports.commands import Parser, cannot_run, open_console
from reports.program import as_program
from verify.rules.comparison import (
    README,
    Comparison,
    compare,
    markdown,
    notes,
    rules_table,
    updated,
)
from verify.rules.contest import OURS, Alarm, Catch, alarms, catches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.checkpoint import Checkpoint

REGIMES = ("given", "perturbed", "stress")
CORRECT_SEEDS = range(3)


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 1 where this project's rule is not the best."""
    parser = Parser(
        prog="python -m verify rules", description="Compare rules that accept or reject a model."
    )
    parser.add_argument("--model", default="tiny", help="as in python -m verify")
    parser.add_argument("--update", action="store_true", help="rewrite the tables in the README")
    options = parser.parse_args(argv)
    try:
        if options.update:
            updated(_readme(), "")
        checkpoint = load(options.model)
    except (CheckpointError, ValueError) as error:
        return cannot_run("rules", error)
    comparison = _compared(checkpoint)
    show(open_console(), comparison)
    if options.update:
        command = " ".join(["python -m verify rules", *argv])
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
    for line in notes(comparison):
        console.print(line, highlight=False)
    for alarm in comparison.alarms:
        console.print(f"false alarm: {alarm.run}, {alarm.rejected}", highlight=False)
    missed = set(comparison.applicable) - comparison.scores[-2].caught
    if missed:
        console.print(f"missed by {OURS}'s rule: {', '.join(sorted(missed))}", highlight=False)
    if not comparison.holds:
        console.print(f"{OURS}'s rule is not the best of these.", style="bold red")


if __name__ == "__main__":
    sys.exit(as_program("verify", main))
