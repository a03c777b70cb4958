"""`python -m verify replay RUN`: is everything as it was, and is the verdict the same today?

What a run was made of (the candidate's own files, kernels, code, versions, machine, and its own
records) is compared with what is there now. Then the same command judges again, with the recorded
options and seeds, and its verdict and figures are compared with the recorded ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from reports.commands import (
    STOPPED,
    Parser,
    UsageError,
    add_quiet,
    cannot_run,
    check_written,
    open_console,
)
from reports.output.render import STEP_SUMMARY
from reports.saved.environment import collect
from reports.saved.files import write_json
from reports.saved.records import SCHEMA_VERSION, RecordsError, read_run
from verify.options import add_json
from verify.replay import drift
from verify.replay.sameness import Sameness, compared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from reports.saved.records import Run

MOST_SHOWN = 10
"""Differences of figures that are printed; --json has all."""

HOLDS, DIFFERS = "PASS", "FAIL"

EPILOG = """\
exit codes: 0 everything is as it was, verdict and figures too; 1 something differs; 2 it could not
be judged"""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0 where the replay holds, 1 where not, 2 where it cannot be made."""
    options = _parser().parse_args(argv)
    try:
        check_written(options.json, "--json")
        return _replay(read_run(options.run), options)
    except (RecordsError, UsageError) as error:
        return cannot_run("verify", error)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m verify replay",
        description="Is everything that a run was made of as it was, and its verdict the same?",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a run of python -m verify")
    add("--no-judging", action="store_true", help="compare hashes, versions and machine alone")
    add("--out", type=Path, metavar="DIR", help="keep the records of the new run there")
    add_json(parser)
    add_quiet(parser, "whether the replay holds")
    return parser


def _replay(run: Run, options: argparse.Namespace) -> int:
    words = recorded_words(run)
    console, details = open_console(highlight=False), open_console(quiet=options.quiet)
    changed = [
        *drift.of_the_folder(run),
        *drift.of_the_candidate(run.environment),
        *drift.of_the_surroundings(run.environment, _now(run)),
    ]
    _list(details, changed, "Records, files, code, versions and machine are as they were.")
    found, again = None, None
    if not options.no_judging:
        with _folder(options.out) as folder:
            _say(details, f"Judging again: python -m verify {' '.join(words)}")
            code = _judge(words, folder)
            if code in STOPPED:
                return code
            again = read_run(folder)
            weights = [*drift.of_the_weights(run.environment, again.environment)]
            _list(details, weights, "")
            found = compared(run, again)
        changed += weights
        _show(details, run, again, found)
    holds = not changed and (found is None or not found.unlike)
    console.print(f"Replay: {'holds' if holds else 'does not hold'}")
    if options.json:
        write_json(options.json, _answer(run, again, changed, found, holds=holds))
    return 0 if holds else 1


def recorded_words(run: Run) -> list[str]:
    """The words of `python -m verify` that a run was started with, less where it wrote what.

    Raises:
        UsageError: where the run is none that can be replayed.
    """
    command = [str(word) for word in run.header.get("command") or ()]
    if run.kind != "verify" or "verify" not in command:
        raise UsageError(f"{run.folder} is not a run of python -m verify")
    if run.end is None:
        raise UsageError(f"{run.folder} was interrupted: there is no verdict to replay")
    parser = argparse.ArgumentParser(add_help=False)
    for option in ("--json", "--out", "--summary"):
        parser.add_argument(option)
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser.parse_known_args(command[command.index("verify") + 1 :])[1]


def _now(run: Run) -> dict[str, object]:
    """The surroundings as a run on the same devices would record them."""
    devices = (run.end or {}).get("devices") or ["cpu"]
    return collect(accelerator=next((name for name in devices if name != "cpu"), None))


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """Where the new run writes: a folder that is gone afterwards, unless one is named."""
    if kept is not None:
        yield kept
        return
    with TemporaryDirectory(prefix="verify-replay-") as folder:
        yield Path(folder) / "run"


def _judge(words: Sequence[str], folder: Path) -> int:
    """Verify again, in a process of its own; its errors are shown.

    Raises:
        UsageError: where it came to no verdict.
    """
    environment = {name: value for name, value in os.environ.items() if name != STEP_SUMMARY}
    command = [sys.executable, "-m", "verify", *words, "--out", str(folder), "--quiet"]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    code = done.returncode
    if code not in STOPPED and not (folder / "manifest.json").is_file():
        raise UsageError(f"judging again came to no verdict (exit code {code})")
    return code


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _list(console: Console, sentences: Sequence[str], otherwise: str) -> None:
    for sentence in sentences:
        _say(console, f"- {sentence}")
    if not sentences and otherwise:
        console.print(otherwise)


def _show(console: Console, run: Run, again: Run, found: Sameness) -> None:
    then, now = ((one.end or {}).get("verdict") for one in (run, again))
    console.print(f"Verdict: {now}{', as it was' if now == then else f', and was {then}'}")
    _list(console, found.unlike[:MOST_SHOWN], "")
    if (more := len(found.unlike) - MOST_SHOWN) > 0:
        console.print(f"  and {more} more")
    rest = found.checks - found.bits - len(found.unlike)
    rounding = f"; {rest} of float64 differ by the rounding of a sum" if rest > 0 else ""
    console.print(
        f"{found.bits} of {found.checks} checks are the same to the bit{rounding}", highlight=False
    )


def _answer(
    run: Run, again: Run | None, changed: Sequence[str], found: Sameness | None, *, holds: bool
) -> dict[str, object]:
    """What `--json` writes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": HOLDS if holds else DIFFERS,
        "run": str(run.header.get("run_id")),
        "before": (run.end or {}).get("verdict"),
        "now": (again.end or {}).get("verdict") if again else None,
        "changed": list(changed),
        "unlike": found.unlike if found else [],
        "checks": found.checks if found else 0,
        "same_to_the_bit": found.bits if found else 0,
    }
