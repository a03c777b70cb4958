"""`python -m verify endpoint`: does a running server answer as the model would?"""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reference.checkpoint import CheckpointError
from reports.commands import (
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
from verify.endpoint.client import Endpoint
from verify.options import add_json, json_object, natural, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from verify.endpoint.written import Outcome

REQUESTS = 100
TIMEOUT_S = 120.0
ANSWER_S = 10.0
"""How long a server may take to name its models, in seconds."""

DTYPES = ("float32", "bfloat16")

DESCRIPTION = """\
Ask a running server with OpenAI's completions, and compare every answer with the model's own in
float64: tokens, log-probabilities, lengths, stop tokens, streams, samples; alone and many at once.
What the server cannot be asked is found out first, and said."""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns an exit code of `verify.options.EXIT_CODES`."""
    options = _parser().parse_args(argv)
    try:
        _check(options)
        name = asyncio.run(_served_name(options))
        return _run(options, name, ["python", "-m", "verify", "endpoint", *argv])
    except (UsageError, CheckpointError, RecordsError) as error:
        return cannot_run("verify", error)


def _parser() -> Parser:
    parser = Parser(prog="python -m verify endpoint", description=DESCRIPTION)
    add = parser.add_argument
    add("url", metavar="URL", help="of the server: http://127.0.0.1:8000, with or without /v1")
    add("--model", required=True,
        help="tiny, random:PRESET, a folder or a hub id: any that transformers loads")  # fmt: skip
    add("--revision", help="branch, tag or commit on the hub")
    add("--served-name", metavar="NAME", help="what the server calls it (the only one it serves)")
    add("--dtype", default="float32", choices=DTYPES, help="what the server computes in (float32)")
    add("--requests", type=natural, default=REQUESTS, metavar="N",
        help=f"how many are asked at once in the end ({REQUESTS})")  # fmt: skip
    add("--context", type=natural, metavar="N",
        help="tokens that the server takes at most (the model's positions)")  # fmt: skip
    add("--body", type=json_object, default={}, metavar="JSON",
        help='more fields of each request: {"repeat_penalty": 1} for llama.cpp')  # fmt: skip
    add("--text", action="append", default=[], metavar="TEXT", help="one more prompt; repeatable")
    add("--operation", action="store_true",
        help="bad questions and bad clients too, which may bring a server down")  # fmt: skip
    add("--prove", action="store_true",
        help="plant faults in a simulated server, also where the model is a large one")  # fmt: skip
    add("--no-prove", action="store_true", help="plant none")
    add("--timeout", type=positive, default=TIMEOUT_S, metavar="S",
        help=f"seconds that an answer may take ({TIMEOUT_S:g})")  # fmt: skip
    add("--seed", type=int, default=0, help="draws prompts (0)")
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    add("--summary", type=Path, metavar="FILE", help="append a summary in Markdown")
    add_json(parser)
    add_quiet(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    if not options.url.startswith(("http://", "https://")):
        raise UsageError(f"{options.url} is not the address of a server: http://HOST:PORT")
    if options.seed < 0:
        raise UsageError(f"--seed must not be negative, but is {options.seed}")
    if options.prove and options.no_prove:
        raise UsageError("--prove and --no-prove exclude each other")
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")


async def _served_name(options: argparse.Namespace) -> str:
    """What the server calls the model.

    Raises:
        UsageError: where it cannot be reached, or does not serve the one that is named.
    """
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            names = await Endpoint(options.url, "", session).models()
    except (
        aiohttp.ClientError,
        OSError,
        TimeoutError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        told = f"{options.url} does not answer with its models"
        raise UsageError(f"{told}: {type(error).__name__} {error}".rstrip()) from error
    wanted = options.served_name
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        asked = f"does not serve {wanted!r}" if wanted else "serves several models"
        raise UsageError(f"{options.url} {asked}; --served-name is one of: {', '.join(names)}")
    return str(wanted)


def _run(options: argparse.Namespace, name: str, command: Sequence[str]) -> int:
    """Ask, record, show and render; imports torch, which takes seconds."""
    from verify.endpoint.inspection import Inspection
    from verify.endpoint.shown import show, show_verdict
    from verify.endpoint.standard import model_of

    model = model_of(options.model, options.dtype, options.revision)
    if options.context and options.context > model.context:
        told = f"--context {options.context} is more than the model's {model.context} positions"
        raise UsageError(told)
    environment = collect(
        weights_sha256=model.sha256,
        extra={"model": options.model, "endpoint": options.url, "served_name": name,
               "dtype": options.dtype, "seed": options.seed},
    )  # fmt: skip
    writer = RunWriter("endpoint", command=command, environment=environment, out=options.out)
    try:
        with writer, _Progress(quiet=options.quiet) as progress:
            inspection = Inspection(model, options, name, writer.write, progress.say)
            outcome = inspection.run()
            writer.finish(outcome.end())
    except KeyboardInterrupt as stop:
        render(writer.folder, options.summary)
        print(f"verify: {how_stopped(stop)}; {writer.folder} has what was asked", file=sys.stderr)
        return exit_code_of(stop)
    show(open_console(quiet=options.quiet), outcome)
    console = open_console()
    show_verdict(console, outcome)
    render(writer.folder, options.summary)
    console.print(f"Report: {_relative(writer.folder) / PAGE}", soft_wrap=True)
    if options.json:
        write_json(options.json, _answer(outcome, environment, writer.folder))
    return {"PASS": 0, "FAIL": 1, "UNDERPOWERED": UNDERPOWERED}[outcome.verdict]


def _answer(outcome: Outcome, environment: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        **outcome.report(),
        "environment": environment,
        "run": str(folder.resolve()),
    }


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


class _Progress:
    """What goes on, on a terminal alone."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), console=Console(stderr=True), transient=True, disable=quiet,
        )  # fmt: skip
        shown = self._progress.console.is_terminal and not quiet
        self._live: Any = self._progress if shown else nullcontext()
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> _Progress:
        self._live.__enter__()
        return self

    def __exit__(self, *told: object) -> None:
        self._live.__exit__(*told)

    @property
    def say(self) -> Callable[[str, int, int], None]:
        """Takes a few words, how far it has come, and how far it goes."""

        def say(text: str, done: int, total: int) -> None:
            self._progress.update(self._task, description=text, completed=done, total=total)

        return say
