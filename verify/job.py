"""One run of `python -m verify` from its first record to the page: what it does with an outcome."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from impl.compiling import announced_to
from reports.commands import (
    CANNOT_RUN,
    UNDERPOWERED,
    UsageError,
    as_called,
    exit_code_of,
    how_stopped,
    open_console,
)
from reports.output.render import render
from reports.saved.files import PAGE, write_json
from reports.saved.records import SCHEMA_VERSION, RunWriter
from reports.waiting import Waiting, print_line
from verify.artefacts import Problem
from verify.candidate.sandbox import say
from verify.outcome import divergence_record, report
from verify.pairing.file import to_toml
from verify.pairing.table import pairing_record
from verify.screen.printed import show, show_verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from verify.judge.verdict import Check
    from verify.outcome import Outcome
    from verify.pairing.counterpart import Pairing

EXIT = {"PASS": 0, "FAIL": 1, "UNDERPOWERED": UNDERPOWERED, "ERROR": CANNOT_RUN}
"""Exit codes by verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a command verifies, a GPT-2 or another decoder.

    Attributes:
        work: called with what takes every check, and what takes a few words on what goes on.
        cases: how many there are, to tell how far a run has come.
        programs: how many are compiled.
        environment: of the run's header.
        ran: is part of the record of every check.
        devices: names of the devices it runs on.
        dtype: the precision that the candidate declares.
        notes: what was done to read the checkpoint that is not done to every one.
        said: further lines after the verdict.
    """

    work: Callable[[Callable[[Check], None], Callable[[str], None]], Outcome]
    cases: int
    environment: dict[str, Any]
    ran: dict[str, Any]
    devices: Sequence[str] = ("cpu",)
    dtype: str = "float32"
    notes: Sequence[str] = ()
    said: Sequence[str] = ()
    programs: int = 1


def run(job: Job, options: argparse.Namespace, command: Sequence[str]) -> int:
    """Verify, record, show and render; returns the exit code.

    Args:
        job: what to verify.
        options: where to write what, and how much to show.
        command: as the run's header has it.

    Raises:
        UsageError, RecordsError: where records, the pairing or `--json` cannot be written.
    """
    console = open_console()
    writer = RunWriter("verify", command=command, environment=job.environment, out=options.out)
    try:
        with writer:
            outcome = _verify_with_progress(job, writer, quiet=options.quiet)
            divergence = outcome.first_divergence
            at = (divergence.case, divergence.tap) if divergence else ()
            outcome.artefacts.save(writer.folder, *at)
            for record in _further_records(outcome):
                writer.write(record)
            writer.finish(_end(job, outcome))
    except KeyboardInterrupt as stop:
        render(writer.folder, options.summary)
        where = f"the finished checks are in {writer.folder}, with a page of them"
        print(f"verify: {how_stopped(stop)}; {where}", file=sys.stderr)
        return exit_code_of(stop)
    details = open_console(quiet=options.quiet)
    _show(options, outcome, details)
    if options.quiet:
        show_verdict(console, outcome)
    for note in job.notes:
        details.print(f"Checkpoint: {note}", highlight=False, markup=False)
    for line in job.said:
        details.print(line, highlight=False, markup=False)
    _render(writer, options.summary, console)
    if divergence and divergence.blamed_on == "compiler":
        smaller = f"To make it small: python -m verify reduce {_relative(writer.folder)}"
        details.print(as_called(smaller))
    if options.json:
        told = report(outcome, job.environment, SCHEMA_VERSION)
        write_json(options.json, {**told, "run": str(writer.folder.resolve())})
    return EXIT[outcome.verdict]


def _render(writer: RunWriter, summary: Path | None, console: Console) -> None:
    """Make the page and the tables; where that fails, the run keeps its verdict and says so."""
    try:
        render(writer.folder, summary)
    except Exception as error:
        problem = Problem.of("page and tables", error)
        writer.append(problem.record())
        print(f"verify: the report could not be made: {problem.error}", file=sys.stderr)
    else:
        console.print(f"Report: {_relative(writer.folder) / PAGE}")


def _further_records(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """What is known at the end alone.

    What would have been noticed, what explains failures, whose names stand for whose, and what no
    picture could be made of.
    """
    yield from outcome.power.records()
    yield from outcome.mutants.records()
    yield from outcome.explanations()
    if outcome.pairing:
        yield pairing_record(outcome.pairing)
    yield from (problem.record() for problem in outcome.artefacts.problems)


def _end(job: Job, outcome: Outcome) -> dict[str, Any]:
    """The run's last record."""
    return {
        "verdict": outcome.verdict,
        "compiled": outcome.compiled,
        "devices": list(job.devices),
        "dtypes": [job.dtype],
        "first_divergence": divergence_record(outcome),
        "coverage": outcome.coverage(),
        "notes": outcome.notes,
        "observer_effect": outcome.observer_effect,
        "power": outcome.power.report(),
        "mutants": outcome.mutants.report(),
        "order": outcome.order,
        **outcome.more(),
    }


def _show(options: argparse.Namespace, outcome: Outcome, console: Console) -> None:
    show(console, outcome, table=options.table, power=options.power)
    if options.pairing and outcome.pairing:
        _write_pairing(options, outcome.pairing, console)


def _verify_with_progress(job: Job, writer: RunWriter, *, quiet: bool) -> Outcome:
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, disable=quiet,
    )  # fmt: skip
    task = progress.add_task("starting", total=job.cases)
    seen: set[str] = set()

    def emit(check: Check) -> None:
        writer.write({"record": "check", **job.ran, **check.record()})
        if check.mode == "isolated" and check.case not in seen:
            seen.add(check.case)
            progress.update(task, completed=len(seen))

    on_terminal = progress.console.is_terminal
    print_waiting = _nothing if quiet else print_line
    waiting = Waiting(print_waiting, progress if on_terminal else None, job.programs)
    live: AbstractContextManager[Any] = progress if on_terminal else nullcontext()
    with live, announced_to(waiting):
        return job.work(emit, _status(progress, task))


def _nothing(_: str) -> None:
    """What `--quiet` prints of what goes on."""


def _status(progress: Progress, task: Any) -> Callable[[str], None]:
    """Say what goes on: in the progress bar, and to the parent of a candidate's process."""

    def status(text: str) -> None:
        say(text)
        progress.update(task, description=text)

    return status


def _write_pairing(options: argparse.Namespace, pairing: Pairing, console: Console) -> None:
    """Write the pairing, unless there is a file already, which was read."""
    if options.pairing.exists():
        return
    try:
        options.pairing.write_text(to_toml(pairing, options.candidate), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--pairing {options.pairing} cannot be written: {error}") from error
    console.print(f"Pairing: {options.pairing}")


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
