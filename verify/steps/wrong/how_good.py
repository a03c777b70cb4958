"""`python -m verify wrong`: how good is the check of each step?

Every wrong solution is checked as a learner's file is. None may pass, and what is said of it has to
name the mistake; every right one has to pass, in whatever form it is written.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from reports.commands import WIDTH, Parser, UsageError, cannot_run, open_console
from reports.program import as_program
from verify.steps.course import STEPS
from verify.steps.wrong import (
    wrong_attention,
    wrong_block,
    wrong_cache,
    wrong_config,
    wrong_embeddings,
    wrong_generation,
    wrong_head,
    wrong_mask,
    wrong_mlp,
    wrong_norm,
    wrong_residual,
    wrong_serving,
    wrong_stack,
)
from verify.steps.wrong.right_forms import RIGHT_FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from verify.steps.wrong.mistake import Mistake
    from verify.steps.wrong.workbench import Bench

MISTAKES: tuple[Mistake, ...] = (
    *wrong_config.MISTAKES,
    *wrong_mask.MISTAKES,
    *wrong_norm.MISTAKES,
    *wrong_mlp.MISTAKES,
    *wrong_embeddings.MISTAKES,
    *wrong_attention.MISTAKES,
    *wrong_residual.MISTAKES,
    *wrong_block.MISTAKES,
    *wrong_stack.MISTAKES,
    *wrong_head.MISTAKES,
    *wrong_generation.MISTAKES,
    *wrong_serving.MISTAKES,
    *wrong_cache.MISTAKES,
)
"""Every wrong solution that was written by hand, in the order of the steps."""

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- wrong: begin -->", "<!-- wrong: end -->"

HEADER = ("step", "wrong", "caught", "named", "mutants", "caught", "named", "right", "pass")


@dataclass(slots=True)
class Quality:
    """How good the check of one step is.

    Attributes:
        step: its number.
        kinds: of the wrong solutions written by hand, how many are of each kind.
        wrong, caught, named: how many there are, are caught, and are caught by name.
        mutants, mutants_caught, mutants_named: the same of those that rules make.
        right, passing: right solutions in other forms, and those that pass; mutants that compute
            the same are among them.
        faults: what is not as it has to be, in sentences.
    """

    step: int
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    caught: int = 0
    named: int = 0
    mutants: int = 0
    mutants_caught: int = 0
    mutants_named: int = 0
    right: int = 0
    passing: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, ...]:
        """For tables."""
        numbers = (
            self.wrong, self.caught, self.named, self.mutants, self.mutants_caught,
            self.mutants_named, self.right, self.passing,
        )  # fmt: skip
        return f"{self.step} {STEPS[self.step - 1].title}", *map(str, numbers)


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 1 where a wrong solution passes or a right one does not.

    Args:
        argv: what follows `wrong`.
    """
    options = _parser().parse_args(argv)
    try:
        if options.update and options.steps:
            raise UsageError("--update is of all steps")
        if options.update:
            updated(README.read_text(encoding="utf-8"), "")
        if wrong := [number for number in options.steps if not 1 <= number <= len(STEPS)]:
            raise UsageError(f"there is no step {wrong[0]}: steps are 1 to {len(STEPS)}")
        qualities = list(measured(options.steps or range(1, len(STEPS) + 1)))
    except (UsageError, OSError, ValueError) as error:
        return cannot_run("wrong", error)
    console = open_console(highlight=False)
    show(console, qualities)
    if options.update:
        text = updated(README.read_text(encoding="utf-8"), markdown(qualities))
        README.write_text(text, encoding="utf-8")
    faults = [fault for quality in qualities for fault in quality.faults]
    return 1 if faults else 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m verify wrong",
        description="Wrong solutions of each step: are they caught, and is the mistake named?",
    )
    parser.add_argument("steps", type=int, nargs="*", metavar="N", help="of these steps alone")
    parser.add_argument("--update", action="store_true", help="rewrite the table in the README")
    return parser


def measured(steps: Sequence[int], *, mutants: bool = True) -> Iterator[Quality]:
    """How good the checks of some steps are, a step at a time.

    Args:
        steps: their numbers.
        mutants: whether those that rules make are tried too.
    """
    from verify.steps.wrong.workbench import bench  # imports MAX and torch

    with bench() as folder:
        for number in steps:
            quality = Quality(number)
            _try_mistakes(quality, folder)
            if mutants:
                _try_mutants(quality, folder)
            _try_right(quality, folder)
            yield quality


def _try_mistakes(quality: Quality, folder: Bench) -> None:
    for mistake in MISTAKES:
        if mistake.step == quality.step:
            missed = folder.misses(mistake)
            quality.wrong += 1
            quality.kinds[mistake.kind] += 1
            quality.caught += missed != "passes"
            quality.named += not missed
            if missed:
                quality.faults.append(f"step {quality.step}: {mistake.name} {missed}")


def _try_mutants(quality: Quality, folder: Bench) -> None:
    from verify.steps.wrong.source_mutants import source_mutants

    for mutant in source_mutants(quality.step):
        trial = folder.check(mutant.step, mutant.text)
        if mutant.why_equal:
            quality.right += 1
            quality.passing += trial.passed
            if not trial.passed:
                quality.faults.append(f"mutant {mutant.name} does not pass: {trial.said}")
            continue
        quality.mutants += 1
        quality.mutants_caught += not trial.passed
        quality.mutants_named += trial.named
        if trial.passed:
            quality.faults.append(f"mutant {mutant.name} passes")


def _try_right(quality: Quality, folder: Bench) -> None:
    for form in RIGHT_FORMS:
        if form.step == quality.step:
            trial = folder.check(form.step, form.text)
            quality.right += 1
            quality.passing += trial.passed
            if not trial.passed:
                quality.faults.append(f"step {form.step}: {form.name} does not pass: {trial.said}")


def show(console: Console, qualities: Sequence[Quality]) -> None:
    """Print the table, and what is not as it has to be."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for place, name in enumerate(HEADER):
        table.add_column(name, justify="left" if not place else "right")
    for quality in qualities:
        table.add_row(*quality.row)
    console.print(table)
    for line in summary(qualities):
        console.print(line)
    for quality in qualities:
        for fault in quality.faults:
            console.print(fault, style="bold red")


def summary(qualities: Sequence[Quality]) -> list[str]:
    """What the table comes to, a sentence for each step and one for all."""
    lines = [
        f"step {q.step}: {q.caught} of {q.wrong} wrong solutions caught, {q.named} named"
        for q in qualities
    ]
    kinds = sum((q.kinds for q in qualities), Counter[str]())
    wrong, mutants = sum(q.wrong for q in qualities), sum(q.mutants for q in qualities)
    named, told = sum(q.named for q in qualities), sum(q.mutants_named for q in qualities)
    lines.append(
        f"in all: {wrong} wrong solutions ({kinds['people']} seen in public code or threads, "
        f"{kinds['slip']} slips, {kinds['catalogue']} of the catalogue of faults, "
        f"{kinds['mutant']} mutants chosen by hand), {named} caught by "
        f"name; {mutants} mutants by rule, {sum(q.mutants_caught for q in qualities)} caught, "
        f"{told} by name; {sum(q.right for q in qualities)} right solutions in other forms, "
        f"{sum(q.passing for q in qualities)} pass"
    )
    return lines


def markdown(qualities: Sequence[Quality]) -> str:
    """The table as Markdown."""
    lines = ["`python -m verify wrong --update` wrote this section.", ""]
    lines += [f"| {' | '.join(HEADER)} |", f"|---|{'---:|' * (len(HEADER) - 1)}"]
    lines += [f"| {' | '.join(quality.row)} |" for quality in qualities]
    total = summary(qualities)[-1]
    return "\n".join([*lines, "", f"{total[0].upper()}{total[1:]}."])


def updated(text: str, section: str) -> str:
    """`text` with what is between the markers replaced.

    Raises:
        ValueError: where a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(as_program("verify", main))
