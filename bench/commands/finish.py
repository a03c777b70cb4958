"""`python -m bench finish RUN`: rows and a page of a run that was killed, from its samples.

A run writes every sample, every agreement and its plan as soon as there are any. Ctrl-C and SIGTERM
leave it time to make rows of them; SIGKILL, a full disk and a power failure do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.null import show
from bench.commands.run import present
from bench.commands.serving import present_load, results_of
from bench.results.as_json import results_json
from bench.results.rebuilt import groups_of, unverified_in
from bench.results.replays import replay_of, summary
from bench.results.whole import make_results
from bench.serving.load_plan import LoadPlan
from reports.commands import (
    Parser,
    UsageError,
    add_quiet,
    as_called,
    check_appended,
    check_written,
    open_console,
)
from reports.output.render import render
from reports.saved.files import write_json
from reports.saved.records import RunWriter, read_run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from reports.saved.records import Run


def main(argv: Sequence[str]) -> int:
    """Finish a run; 0 where it has rows then."""
    parser = Parser(prog="python -m bench finish", description=__doc__ and __doc__.split("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="write the results as JSON; - is standard output"
    )
    parser.add_argument("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    add_quiet(parser, "how many rows are VALID")
    options = parser.parse_args(argv)
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")
    run = read_run(options.run)
    if done := _why_not(run):
        print(done)
        return 0
    if run.of("replay"):
        return _finish_null(run)
    if run.of("load_plan"):
        return _finish_loads(run, options)
    groups = groups_of(run)
    arms = any(group.contestants for group in groups)
    if not run.of("sample" if arms else "rate"):  # `bench ceilings` has no arms
        raise UsageError(f"{run.folder} ended before anything was measured")
    records = make_results(groups, unverified_in(run))
    with RunWriter.continued(run.folder, run) as writer:
        for record in records:
            writer.write(record)
    present(open_console(), run.folder, groups, records, options)
    if options.json:
        write_json(options.json, results_json(records, run.environment))
    return 0


def _finish_null(run: Run) -> int:
    """The rates of the replays that were played."""
    if any("ratios" not in record for record in run.of("replay")):
        raise UsageError(f"{run.folder} is a null of format 3 or older, which only its end sums up")
    called = summary([replay_of(record) for record in run.of("replay")])
    with RunWriter.continued(run.folder, run) as writer:
        for one in called:
            writer.write(one.record())
    console = open_console()
    show(console, called)
    console.print(f"Report: {render(run.folder)[0]}", highlight=False)
    return 0


def _finish_loads(run: Run, options: argparse.Namespace) -> int:
    """Rows of the loads that came to their end."""
    if not run.of("level"):
        raise UsageError(f"{run.folder} ended before any load was complete")
    plan = LoadPlan(**run.of("load_plan")[-1]["plan"])
    results = results_of(run.records, plan, run.environment)
    with RunWriter.continued(run.folder, run) as writer:
        for record in results:
            writer.write(record)
    records = [*run.records, *results]
    present_load(run.folder, records, run.environment, options)
    return 0


AGAIN = "`python -m reports` makes its page again"


def _why_not(run: Run) -> str:
    """Why there is nothing to finish, or nothing.

    Raises:
        UsageError: for what is not a benchmark.
    """
    if run.kind != "bench":
        raise UsageError(f"{run.folder} holds no benchmark, but a run of kind {run.kind!r}")
    if run.end is not None:
        return f"{run.folder} was finished already; {as_called(AGAIN)}"
    if run.of("load") or run.of("row") or run.of("called") or run.of("ceiling"):
        return (
            f"{run.folder} was stopped, and has the results of what it had measured; "
            f"{as_called(AGAIN)}"
        )
    return ""
