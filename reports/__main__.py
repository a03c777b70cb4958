"""`python -m reports [COMMAND]`: pages, tables and schemas of saved records.

Exit codes: 0, or 2 with one sentence where something cannot be read or written.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reports.commands import Parser, as_called, cannot_run
from reports.contract.schemas import SOURCES, text, update
from reports.history.compare import write_page
from reports.history.index import write_index
from reports.output.annotations import read, remarks, workspace
from reports.output.benchmark_action import BETTER, as_text, exported
from reports.output.listing import BY, FORMATS, listing
from reports.output.publish import publish
from reports.output.render import render
from reports.program import as_program
from reports.saved.files import write
from reports.saved.home import published_root, runs_root
from reports.saved.records import RecordsError, read_run
from reports.tables.draws import unfinished

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMAS = Path(__file__).parent / "schema"

COMMANDS = """\
commands (python -m reports COMMAND --help lists the options of each):
  render    pages and tables of runs again; the default where no command is named
  table     print one table of saved runs: by layer, kind, fault, row, sample, ...
  export    speeds of benchmarks for a tool that keeps them: github-action-benchmark
  index     the page over all runs
  compare   a page with two runs next to each other: maps, or ratios of times
  annotate  what a CI shows beside the source: file, line and message
  publish   tables and figures into reports/published, to be committed
  schema    the JSON Schema of records or of what --json writes

exit codes: 0, or 2 with one sentence where something cannot be read or written"""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, or 2 with one sentence where something goes wrong."""
    commands = {"render": _render, "table": _table, "export": _export, "index": _index,
                "compare": _compare, "annotate": _annotate, "publish": _publish,
                "schema": _schema}  # fmt: skip
    named = argv[0] if argv and argv[0] in commands else "render"
    rest = argv[1:] if argv and argv[0] == named else argv
    try:
        return commands[named](rest)
    except RecordsError as error:
        return cannot_run("reports", error)


def _render(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m reports",
        description="Make the pages and tables of saved runs again, and the index over all runs.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_runs(parser)
    parser.add_argument("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    options = parser.parse_args(argv)
    for folder in options.runs or newest_runs(runs_root()):
        for file in render(folder, options.summary):
            print(file)
        if unfinished(read_run(folder)):
            how = as_called(f"`python -m bench finish {folder}` makes rows of its samples")
            print(f"reports: {folder} was ended before its rows were made: {how}", file=sys.stderr)
    if not options.runs:
        print(write_index(runs_root()))
    return 0


def _table(argv: Sequence[str]) -> int:
    parser = Parser(prog="python -m reports table", description="Print a table of saved runs.")
    _add_runs(parser)
    parser.add_argument("--by", choices=BY, default="layer", help="what has a row (layer)")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how it is printed")
    options = parser.parse_args(argv)
    runs = options.runs or newest_runs(runs_root())
    print(listing(runs, options.by, options.format), end="")
    return 0


def _export(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m reports export",
        description="Write the speeds of benchmarks for a tool that keeps them over time. Only "
        "rows that are VALID have a speed; the others are said on standard error.",
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="folders (default: the newest benchmark)"
    )
    parser.add_argument(
        "--format", choices=("gha",), default="gha",
        help="gha: a JSON list for github-action-benchmark's custom tools (default)",
    )  # fmt: skip
    parser.add_argument(
        "--better", choices=BETTER, default="smaller",
        help="smaller: times and ratios, for customSmallerIsBetter (default); bigger: tokens and "
        "answers a second, for customBiggerIsBetter",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="default: standard output")
    options = parser.parse_args(argv)
    entries, left_out = exported(options.runs or _newest_benchmark(), options.better)
    for sentence in left_out:
        print(f"reports: not exported: {sentence}", file=sys.stderr)
    if options.out:
        print(write(options.out, as_text(entries), "--out"))
    else:
        print(as_text(entries), end="")
    return 0


def _index(argv: Sequence[str]) -> int:
    parser = Parser(prog="python -m reports index", description="Write the page over all runs.")
    parser.parse_args(argv)
    print(write_index(runs_root()))
    return 0


def _compare(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m reports compare",
        description="Write a page with two runs next to each other.",
    )
    parser.add_argument("one", type=Path, metavar="RUN", help="the folder of the first run")
    parser.add_argument("other", type=Path, metavar="RUN", help="the folder of the second")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: compare-ONE.html in the second's folder"
    )
    options = parser.parse_args(argv)
    print(write_page(read_run(options.one), read_run(options.other), options.out))
    return 0


def _annotate(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m reports annotate",
        description="Print what went wrong in a verification as GitHub Actions reads it, with the "
        "file and the line where they are known.",
    )
    parser.add_argument("told", type=Path, metavar="FILE.json", help="what --json wrote")
    options = parser.parse_args(argv)
    for annotation in remarks(read(options.told), workspace()):
        print(annotation)
    return 0


def _publish(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m reports publish",
        description="Copy tables and figures of runs into reports/published, to be committed.",
    )
    _add_runs(parser)
    parser.add_argument(
        "--suffix", type=_word, metavar="NAME",
        help="of the folders' names, such as a machine's: what was published of others stays",
    )  # fmt: skip
    options = parser.parse_args(argv)
    runs = options.runs or newest_runs(runs_root())
    for file in publish(runs, published_root(), options.suffix or ""):
        print(file)
    return 0


def _word(text: str) -> str:
    """What may stand in a folder's name.

    Raises:
        argparse.ArgumentTypeError: for anything but letters, digits, `.`, `_` and `-`.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not letters, digits, '.', '_' and '-'")
    return text


def _schema(argv: Sequence[str]) -> int:
    parser = Parser(prog="python -m reports schema", description="Print a JSON Schema.")
    parser.add_argument("name", nargs="?", choices=SOURCES, help="of what (default: all names)")
    parser.add_argument("--update", action="store_true", help="write all into reports/schema")
    options = parser.parse_args(argv)
    if options.update:
        for file in update(SCHEMAS):
            print(file)
    elif options.name:
        print(text(options.name), end="")
    else:
        print("\n".join(f"{name:15} {title}" for name, (title, _) in SOURCES.items()))
    return 0


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="*",
        type=Path,
        metavar="RUN",
        help="folders (default: the newest of each kind)",
    )


def _newest_benchmark() -> list[Path]:
    link = runs_root() / "latest" / "bench"
    if not link.is_dir():
        raise RecordsError(as_called("there is no benchmark yet: `python -m bench` makes one"))
    return [link.resolve()]


def newest_runs(root: Path) -> list[Path]:
    """The newest run of each kind; one whose folder was deleted since is left out.

    Raises:
        RecordsError: if there is none.
    """
    latest = root / "latest"
    links = sorted(latest.iterdir()) if latest.is_dir() else []
    runs = [link.resolve() for link in links if link.is_dir()]
    if not runs:
        raise RecordsError(
            as_called("there are no runs yet: `python -m verify` or `python -m bench` make one")
        )
    return runs


if __name__ == "__main__":
    sys.exit(as_program("reports", main))
