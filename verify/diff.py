"""`python -m verify diff RUN_A RUN_B`: which stages another version of anything has changed.

Both runs must have verified the same weights, and should have on the same inputs. A stage has
changed where its error to the float64 truth is not the same number any more; whether for the better
shows in that error, in units in the last place (ulp) of the stage's result. The answer comes first,
in a sentence; a page shows both runs as maps of the model, and a map of what they differ by. Exit 1
where anything fails in B that did not in A.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from reference.taps import short_name
from reports.commands import WIDTH, Parser, UsageError, cannot_run, check_written, open_console
from reports.history import unlike
from reports.history.bench_pair import name_of
from reports.history.compare import write_page
from reports.history.verify_answer import answer, is_broken, kinds_of_check
from reports.history.verify_pair import HOW, verify_figures
from reports.saved.files import write_json
from reports.saved.records import SCHEMA_VERSION, RecordsError, read_run
from reports.tables.changes import Change, DiffError, by_place, compare, gravest_first
from reports.tables.numbers import counted
from verify.options import add_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from reports.history.verify_answer import Answer
    from reports.saved.records import Run

MOST_ROWS = 24
"""Rows of the table without `--all`; the page has all."""

STYLES = {"broken": "bold red", "worse": "yellow", "better": "green", "mended": "green"}


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where anything is broken, 2 where nothing can be compared."""
    options = _parser().parse_args(argv)
    try:
        check_written(options.page, "--page")
        check_written(options.json, "--json")
        runs = read_run(options.a), read_run(options.b)
        changes = compare(*runs)
        page = _page(*runs, options.page)
        if options.json:
            write_json(options.json, figures(*runs, page))
    except (DiffError, RecordsError, UsageError) as error:
        return cannot_run("verify", error)
    kinds = kinds_of_check(*runs)
    console = open_console(highlight=False)
    show(console, answer(changes, kinds), changes, *runs, everything=options.all)
    if page:
        console.print(f"Report: {page}", soft_wrap=True)
    return 1 if is_broken(changes, kinds) else 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m verify diff", description="Which stages differ between two runs?"
    )
    parser.add_argument("a", type=Path, help="folder of the earlier run")
    parser.add_argument("b", type=Path, help="folder of the later run")
    parser.add_argument(
        "--all", action="store_true", help="show all rows, of places that are the same too"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="the page (default: compare-A.html in B's folder)"
    )
    add_json(parser)
    return parser


def _page(a: Run, b: Run, named: Path | None) -> Path | None:
    """The page; where B's folder cannot be written, a sentence, and the answer all the same."""
    try:
        return write_page(a, b, named)
    except RecordsError as error:
        if named:
            raise
        print(f"verify: no page: {error}; --page FILE puts it elsewhere", file=sys.stderr)
        return None


def figures(a: Run, b: Run, page: Path | None) -> dict[str, Any]:
    """What `--json` writes."""
    return {
        "schema_version": SCHEMA_VERSION,
        **verify_figures(a, b),
        "runs": [name_of(a), name_of(b)],
        "unlike": [*unlike.machines(a, b), *unlike.settings(a, b), *unlike.versions(a, b)],
        "page": str(page) if page else None,
    }


def show(
    console: Console, said: Answer, changes: Sequence[Change], a: Run, b: Run, *, everything: bool
) -> None:
    """Print the answer, what the runs were not alike in, and a table of places that changed."""
    style = {"BROKEN": "bold red", "CHANGED": "bold yellow"}.get(said.verdict, "bold green")
    console.print(Text(said.sentence, style))
    if said.lead:
        console.print(said.lead)
    for letter, run in (("A", a), ("B", b)):
        console.print(f"{letter}: {name_of(run)}, {run.environment.get('candidate', 'impl')}")
    for told in (*unlike.machines(a, b), *unlike.settings(a, b)):
        console.print(f"not measured alike: {told}")
    for told in unlike.versions(a, b):
        console.print(told)
    moved = gravest_first(change for change in changes if change.verdict != "same")
    shown = list(changes) if everything else moved[:MOST_ROWS]
    if shown:
        console.print(_table(shown))
    if len(shown) < len(moved):
        console.print(f"and {len(moved) - len(shown)} more that changed (--all shows them)")
    places = by_place(changes).values()
    counts = Counter(change.verdict for change in places)
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    console.print(f"{counted(len(places), 'place')} compared: {listed}")


def _table(changes: Sequence[Change]) -> Table:
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in ("place", "how", "changed in", "ulp A", "ulp B", "rms B/A", ""):
        table.add_column(name, justify="left" if name in ("place", "how", "") else "right")
    for change in changes:
        table.add_row(
            short_name(change.tap),
            HOW.get(change.mode, change.mode),
            f"{change.changed}/{change.cases}",
            f"{change.ulp[0]:.3g}",
            f"{change.ulp[1]:.3g}",
            _ratio(change),
            Text(change.verdict, STYLES.get(change.verdict, "")),
        )
    return table


def _ratio(change: Change) -> str:
    if change.log2 is None:
        return "-"
    return f"{change.rms_ratio:.3g}" if change.rms_ratio >= 100 else f"{change.rms_ratio:.3f}"


__all__ = ["Change", "DiffError", "compare", "figures", "main", "show"]
