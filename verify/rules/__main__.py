"""`python -m verify rules`: this project's rule and published ones on the same faults.

Two questions are put to every rule. Which faults of the catalogue does it catch, and does it blame
the right place? And does it reject runs that are correct, but were computed in another order?

Published rules see whole runs: the float64 oracle with the fault in it, rounded to float32, next to
PyTorch's run in float32. This project's rule sees single stages, the probe's included, as in every
run of `python -m verify`. Only probed stages show some faults at all; that is part of the rule.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reference.checkpoint import CheckpointError
from reference.load import load
from reports.commands import (
    Parser,
    cannot_run,
    exit_code_of,
    how_stopped,
    open_console,
    terminable,
)
from reports.program import as_program
from reports.saved.environment import collect
from reports.saved.records import RecordsError
from verify.fleet.fleet_options import add_on, check_on, how_to_resume, show_page
from verify.fleet.unit import FleetError, Spread
from verify.fleet.units_kept import KeptUnits
from verify.rules.comparison import (
    README,
    Comparison,
    compare,
    markdown,
    notes,
    rules_table,
    updated,
)
from verify.rules.contest import OURS
from verify.rules.rule_units import found_in, rule_units

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from rich.console import Console

    from verify.fleet.unit import Done


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 1 where this project's rule is not the best."""
    options = _parser().parse_args(argv)
    try:
        check_on(options.on)
        if options.update:
            updated(_readme(), "")
        with terminable():
            comparison = _compared(options, ["python", "-m", "verify", "rules", *argv])
    except (CheckpointError, FleetError, RecordsError, ValueError) as error:
        return cannot_run("rules", error)
    except KeyboardInterrupt as stop:
        print(f"rules: {how_stopped(stop)}", file=sys.stderr)
        return exit_code_of(stop)
    show(open_console(), comparison)
    if options.update:
        command = " ".join(["python -m verify rules", *argv])
        README.write_text(updated(_readme(), markdown(comparison, command)), encoding="utf-8")
    return 0 if comparison.holds else 1


def _parser() -> Parser:
    parser = Parser(
        prog="python -m verify rules", description="Compare rules that accept or reject a model."
    )
    add = parser.add_argument
    add("--model", default="tiny", help="as in python -m verify")
    add("--update", action="store_true", help="rewrite the tables in the README")
    add_on(parser)
    add("--out", type=Path, metavar="DIR", help="folder for the records; one that was begun is "
        "continued")  # fmt: skip
    return parser


def _readme() -> str:
    if not README.is_file():
        raise ValueError(f"there is no {README.name} to update")
    return README.read_text(encoding="utf-8")


def _compared(options: argparse.Namespace, command: Sequence[str]) -> Comparison:
    """Everything, share by share.

    Raises:
        FleetError: where a share came to nothing.
    """
    sha256 = load(options.model).sha256
    units = list(rule_units(options.model, sha256))
    environment = collect(weights_sha256=sha256, extra={"model": options.model})
    with KeptUnits("rules", units, command=command, environment=environment,
                   out=options.out) as kept:  # fmt: skip
        try:
            failed = [done for done in kept.run(Spread(options.on, cpus=options.cpus))
                      if done.error]  # fmt: skip
        except KeyboardInterrupt:
            print(f"rules: {how_to_resume(command, kept.folder)}", file=sys.stderr)
            raise
        if failed:
            raise FleetError(f"{failed[0].key} came to nothing: {failed[0].error}")
        comparison = _comparison(kept.in_order())
        kept.finish(_end(comparison))
    show_page(kept.folder)
    return comparison


def _comparison(found: Sequence[Done]) -> Comparison:
    return compare(*found_in(record for done in found for record in done.records))


def _end(comparison: Comparison) -> dict[str, object]:
    """The run's last record."""
    return {
        "verdict": "PASS" if comparison.holds else "FAIL",
        "applicable": len(comparison.applicable),
        "scores": [
            {"rule": score.rule, "caught": len(score.caught),
             "right": None if score.right is None else len(score.right),
             "false": score.false, "runs": score.runs}
            for score in comparison.scores
        ],
    }  # fmt: skip


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
