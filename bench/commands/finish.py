"""`python -m bench finish RUN`: rows and a page for a run that did not come to its end.

A run that was killed has its samples in its records, and no rows. They are made here, as the run
itself would have made them, and appended.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.run import results_of
from bench.results.rebuilt import groups_of, unverified_of
from bench.screen.tables import show
from reports.commands import Parser, UsageError, open_console
from reports.output.render import render
from reports.saved.files import PAGE
from reports.saved.records import RunWriter, read_run

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 2 with one sentence where it cannot be done."""
    parser = Parser(prog="python -m bench finish", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    folder: Path = parser.parse_args(argv).run
    run = read_run(folder)
    console = open_console()
    if run.kind != "bench":
        raise UsageError(f"{folder} is not a benchmark")
    if run.end is not None or run.of("row"):
        console.print(f"{folder} has its rows already", highlight=False)
        render(folder)
        return 0
    groups = groups_of(run)
    if not any(contestant.samples for group in groups for contestant in group.contestants):
        raise UsageError(f"{folder} ended before anything was measured")
    records = results_of(groups, unverified_of(run))
    with RunWriter.continued(folder, run) as writer:
        for record in records:
            writer.write(record)
    render(folder)
    show(console, records)
    console.print(f"Report: {folder / PAGE}", highlight=False)
    return 0
