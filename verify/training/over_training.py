"""`python -m verify training FOLDER`: each checkpoint of a fine-tuning, by one compiled program."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from impl.compiling import announced_to
from impl.runtime import DeviceError, check_device
from reference.checkpoint import CheckpointError
from reports.commands import (
    CANNOT_RUN,
    UNDERPOWERED,
    Parser,
    UsageError,
    add_quiet,
    cannot_run,
    check_appended,
    check_written,
    exit_code_of,
    how_stopped,
    open_console,
)
from reports.output.render import render
from reports.saved.environment import collect
from reports.saved.files import PAGE, write_json
from reports.saved.records import SCHEMA_VERSION, RecordsError, RunWriter
from reports.waiting import Waiting, print_line
from verify.options import EXIT_CODES, add_json
from verify.training.found_checkpoints import find
from verify.training.judged_checkpoints import judge_checkpoint, line_of, summed
from verify.training.one_program import OneProgram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from verify.training.found_checkpoints import FoundTraining

EXIT = {"PASS": 0, "FAIL": 1, "UNDERPOWERED": UNDERPOWERED, "ERROR": CANNOT_RUN}

DESCRIPTION = """\
Verify every checkpoint of a fine-tuning in MAX, by one compiled program: FOLDER has folders
checkpoint-N, as `python -m reference finetune` and transformers' Trainer leave them."""

FROM_TRAINING = ("settings", "source", "text", "parameters", "trained_parameters", "learning_rate",
                 "length")  # fmt: skip
"""What a run's record has of `training.json`."""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns an exit code of `verify.options.EXIT_CODES`."""
    options = _parser().parse_args(argv)
    try:
        check_device(options.device)
        check_written(options.json, "--json")
        check_appended(options.summary, "--summary")
        training = find(options.folder, options.steps)
        return _run(training, options, ["python", "-m", "verify", "training", *argv])
    except (UsageError, CheckpointError, DeviceError, RecordsError) as error:
        return cannot_run("verify", error)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m verify training", description=DESCRIPTION, epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="with the checkpoints")
    add("--steps", type=_steps, metavar="N,N", help="the checkpoints to verify (all)")
    add("--device", default="cpu", help="cpu (default), gpu or gpu:N")
    add("--seed", type=int, default=0, help="draws inputs, the same for every checkpoint (0)")
    add("--quick", action="store_true",
        help="judge the mathematics alone, in float64; nothing is compiled")  # fmt: skip
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    add("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    add_json(parser)
    add_quiet(parser)
    return parser


def _steps(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of steps, such as 0,100,200")
    return [int(part) for part in parts]


def _run(training: FoundTraining, options: argparse.Namespace, command: Sequence[str]) -> int:
    """Judge, record, show and render."""
    last = training.checkpoints[-1].load()
    environment = collect(
        weights_sha256=last.sha256,
        accelerator=None if options.device == "cpu" else options.device,
        extra={"model": options.folder.resolve().name, "checkpoint": str(options.folder),
               "seed": options.seed, "candidate": "impl"},
    )  # fmt: skip
    writer = RunWriter("training", command=command, environment=environment, out=options.out)
    program = OneProgram(last.config, options.device)
    judged: list[dict[str, Any]] = []
    try:
        with writer, _Shown(len(training.checkpoints), quiet=options.quiet) as shown:
            for record in _told(training.told):
                writer.write(record)
            for found in training.checkpoints:
                one = judge_checkpoint(
                    found, program, options.device,
                    seed=options.seed, quick=options.quick, status=shown.status,
                ).record()  # fmt: skip
                judged.append(one)
                writer.write({"record": "checkpoint", **one})
                shown.done(line_of(one))
            end = summed(judged, program.compiled_programs)
            writer.finish(end)
    except KeyboardInterrupt as stop:
        render(writer.folder, options.summary)
        print(f"verify: {how_stopped(stop)}; {writer.folder} has what was judged", file=sys.stderr)
        return exit_code_of(stop)
    console = open_console()
    console.print(f"Verdict: {end['verdict']}\n{end['line']}", highlight=False, soft_wrap=True)
    render(writer.folder, options.summary)
    console.print(f"Report: {_relative(writer.folder) / PAGE}", highlight=False, soft_wrap=True)
    if options.json:
        write_json(options.json, {
            "schema_version": SCHEMA_VERSION, **end, "judged": judged,
            "points": list(training.told.get("points", ())),
            "environment": environment, "run": str(writer.folder.resolve()),
        })  # fmt: skip
    return EXIT[end["verdict"]]


def _told(training: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Records of what `training.json` says: one of the whole, one for each point of the losses."""
    if training:
        yield {"record": "training", **{name: training.get(name) for name in FROM_TRAINING}}
    for point in training.get("points", ()):
        yield {"record": "point", **point}


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


class _Shown:
    """What goes on: a bar in a terminal, lines about compiling elsewhere."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), console=Console(stderr=True), transient=True, disable=quiet,
        )  # fmt: skip
        terminal = self._progress.console.is_terminal and not quiet
        self._live: Any = self._progress if terminal else nullcontext()
        # Beside a bar, lines go where the bar is.
        self._console = self._progress.console if terminal else open_console(quiet=quiet)
        say: Callable[[str], None] = (lambda _: None) if quiet else print_line
        self._announced = announced_to(Waiting(say, self._progress if terminal else None))
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> _Shown:
        self._live.__enter__()
        self._announced.__enter__()
        return self

    def __exit__(self, *told: Any) -> None:
        self._announced.__exit__(*told)
        self._live.__exit__(*told)

    def status(self, text: str) -> None:
        """A part begins."""
        self._progress.update(self._task, description=text)

    def done(self, line: str) -> None:
        """A checkpoint is judged, which a line says."""
        self._progress.advance(self._task)
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
