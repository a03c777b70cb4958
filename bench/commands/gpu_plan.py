"""`python -m bench gpu`, or `tox -e gpu`: all that is asked of an NVIDIA GPU, by one command.

`bench.commands.gpu_steps` has the steps. Each is a process; one that fails or hangs does not keep
the others from running. Records, tables to be published, logs and a summary go to one folder.

Exit codes: 0 where every step passed; 1 where one found a model that is not the same, outputs that
disagree, or a test that fails; 2 where one could not be run, or there is no GPU.

Until it installs what is missing, only the standard library is imported: on a machine without a GPU
`tox -e gpu` installs nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.gpu_steps import Step, as_text, steps
from reports.commands import (
    CANNOT_RUN,
    UNDERPOWERED,
    Parser,
    UsageError,
    cannot_run,
    exit_code_of,
    how_stopped,
    open_console,
    terminable,
)
from reports.saved.files import write
from reports.saved.home import CLONE, REPOSITORY, VARIABLE, runs_root
from reports.saved.machine import nvidia_gpus
from reports.saved.records import RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NO_GPU = (
    "nvidia-smi lists no GPU on this machine; --dry-run prints the plan, and --on-cpu rehearses it"
)
SUMMARY = "summary.md"
LEAST_LIMIT_MIN, LIMIT_FACTOR = 15.0, 4.0
"""A step is ended after four times its estimate, and not before a quarter of an hour."""

STOP_S = 30.0
"""Seconds that a step has to write down what it has, once it is asked to end."""

FOUND = frozenset({1, UNDERPOWERED})
"""Exit codes of a step that ran, and found something."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a step: its exit code, how long it took, and what it said in a line."""

    step: Step
    code: int
    minutes: float
    said: str


def main(argv: Sequence[str]) -> int:
    """Print the plan, or run it; the module's docstring has the exit codes."""
    options = _parser().parse_args(argv)
    # Tests are a clone's.
    known = [step for step in steps(on_cpu=options.on_cpu) if CLONE or step.name != "kernels"]
    plan = chosen(known, options.only)
    gpus = nvidia_gpus()
    if options.dry_run:
        print(as_text(plan))
        print(f"GPUs here: {', '.join(gpus) or 'none that nvidia-smi lists'}")
        return 0
    if not gpus and not options.on_cpu:
        return cannot_run("bench gpu", NO_GPU)
    if options.install and not _installed(on_cpu=options.on_cpu):
        return cannot_run("bench gpu", "what the steps need could not be installed; pip says why")
    return carry_out(plan, folder_for("gpu", options.out))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m bench gpu",
        description="All that is asked of an NVIDIA GPU: the model verified in float32, with TF32 "
        "and in bfloat16, timed beside peers, the kernels' choice. Records and tables go to one "
        "folder, to be published.",
        epilog="exit codes: 0 all passed; 1 a step found something wrong; 2 a step could not be "
        "run, or there is no GPU",
    )
    add_plan_options(parser, "gpu")
    add = parser.add_argument
    add(
        "--on-cpu",
        action="store_true",
        help="rehearse: every step on the CPU with the graph that a GPU takes, at small sizes",
    )
    add("--install", action="store_true", help=argparse.SUPPRESS)
    return parser


def add_plan_options(parser: Parser, plan: str) -> None:
    """What every plan of steps can be asked for."""
    add = parser.add_argument
    add("--dry-run", action="store_true", help="print commands and estimated minutes, run nothing")
    add(
        "--only",
        metavar="STEP,STEP",
        type=lambda text: text.split(","),
        help="these steps alone, by the names that --dry-run prints",
    )
    add("-o", "--out", type=Path, metavar="DIR", help=f"default: a new folder in reports/{plan}")


def chosen(plan: Sequence[Step], only: Sequence[str] | None) -> list[Step]:
    """The steps of a plan that are asked for; all without a choice.

    Raises:
        UsageError: for one that it does not have.
    """
    names = [step.name for step in plan]
    for name in only or ():
        if name not in names:
            raise UsageError(f"--only: there is no step {name!r}; choose from {', '.join(names)}")
    return [step for step in plan if only is None or step.name in only]


def folder_for(plan: str, out: Path | None) -> Path:
    """A new folder for all of a plan: `out`, or one named after it.

    Raises:
        UsageError: if it cannot be made, or is not empty.
    """
    folder = (out or runs_root() / plan / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}").resolve()
    try:
        for part in ("logs", "answers"):
            (folder / part).mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"--out: {folder} holds an earlier run of the plan") from None
    except OSError as error:
        raise UsageError(f"--out: {folder} cannot be made: {error.strerror}") from error
    return folder


def _installed(*, on_cpu: bool) -> bool:
    """Install what the steps need into this environment, torch with CUDA for a GPU."""
    index = {} if on_cpu else {"TORCH_CPU_INDEX": ""}
    pins, wanted = (REPOSITORY / f"{name}.txt" for name in ("constraints", "requirements-dev"))
    command = [sys.executable, REPOSITORY / ".ci" / "install.py", "-c", pins, "-r", wanted]
    done = subprocess.run(list(map(str, command)), env={**os.environ, **index}, check=False)
    importlib.invalidate_caches()
    return done.returncode == 0


def carry_out(plan: Sequence[Step], folder: Path, command: str = "bench gpu") -> int:
    """Run the steps of a command one after the other, then publish; returns the exit code."""
    done: list[Done] = []
    stop: KeyboardInterrupt | None = None
    with terminable():
        try:
            for number, step in enumerate(plan, start=1):
                which = f"[{number}/{len(plan)}] {step.name}: {step.what}"
                print(f"{which}, about {step.minutes:g} min", flush=True)
                done.append(_run(step, folder))
                print(f"    {_verdict(done[-1])}: {done[-1].said}", flush=True)
            done += [_run(step, folder) for step in _published(folder)]
        except KeyboardInterrupt as caught:
            stop = caught
    _show(done, folder)
    if stop:
        print(f"{command}: {how_stopped(stop)}; what was done is in {folder}", file=sys.stderr)
        return exit_code_of(stop)
    return exit_code(done)


def exit_code(done: Sequence[Done]) -> int:
    """1 where a step found something wrong, else 2 where one could not be run, else 0."""
    codes = {one.code for one in done}
    if codes & FOUND:
        return 1
    return CANNOT_RUN if codes - {0} else 0


def _published(folder: Path) -> Iterator[Step]:
    """Pages over all runs, and tables that are small enough to be committed."""
    runs = sorted((folder / "runs").glob("*-*")) if (folder / "runs").is_dir() else []
    whole = [run for run in runs if _ended(run)]
    if not whole:
        return
    yield Step(name="index", what="the page over all runs", words=("-m", "reports", "index"),
               minutes=0.1, answers=False)  # fmt: skip
    words = ("-m", "reports", "publish", *map(str, whole))
    yield Step(name="publish", what="tables and figures", words=words, minutes=0.2, answers=False)


def _ended(run: Path) -> bool:
    """Whether a run came to its end: only a whole one is published."""
    try:
        return b'"record": "end"' in (run / "records.jsonl").read_bytes()[-65536:]
    except OSError:
        return False


def _run(step: Step, folder: Path) -> Done:
    answer = folder / "answers" / f"{step.name}.json"
    words = [sys.executable, *step.words, *(["--json", str(answer)] if step.answers else [])]
    own = {VARIABLE: str(folder), "PYTHONPATH": _path()}
    started = time.monotonic()
    limit_s = 60 * max(LEAST_LIMIT_MIN, LIMIT_FACTOR * step.minutes)
    log = folder / "logs" / f"{step.name}.log"
    with log.open("w", encoding="utf-8") as file:
        print(f"$ {step.line}", file=file, flush=True)
        process = subprocess.Popen(
            words, cwd=REPOSITORY, env={**os.environ, **own, **step.variables},
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _end(process)
            code, said = CANNOT_RUN, f"it was ended after {limit_s / 60:.0f} minutes"
        except KeyboardInterrupt:
            _end(process)
            raise
        else:
            said = _said(step, answer, log)
    return Done(step, code, (time.monotonic() - started) / 60, said)


def _path() -> str:
    """Where the steps find this project: here, then where this process does."""
    return os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a step and what it started to end, and make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            return


def _said(step: Step, answer: Path, log: Path) -> str:
    """What a step found, in a line: of its `--json`, else a line that it printed."""
    try:
        told = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[1:]
        return lines[step.telling].strip() if lines else ""
    return summed_up(told)


def summed_up(told: dict[str, Any]) -> str:
    """An answer of `verify` or `bench` in a line: the verdict and why, or the rows by status."""
    if told.get("reason"):
        return str(told["reason"])
    if "verdict" in told:
        first = told.get("first_divergence") or {}
        return ": ".join(filter(None, (str(told["verdict"]), str(first.get("message") or ""))))
    rows = [row for row in told.get("rows", []) if row.get("status")]
    if not rows:
        return f"{len(told.get('ceilings') or ())} ceilings"
    counts = Counter(row["status"] for row in rows)
    text = ", ".join(f"{count} {status}" for status, count in counts.items())
    why = next((why for row in rows if row["status"] != "VALID" for why in _reasons(row)), "")
    return f"{text}{f'; {why}' if why else ''}"


def _reasons(row: dict[str, Any]) -> Iterator[str]:
    where = " ".join(str(row[key]) for key in ("workload", "arm") if row.get(key))
    yield from (f"{where}: {reason}" for reason in row.get("invalid_reasons") or ())


def _verdict(done: Done) -> str:
    if done.code == 0:
        return "passed"
    return "FOUND" if done.code in FOUND else "COULD NOT RUN"


def _show(done: Sequence[Done], folder: Path) -> None:
    """The summary: printed, and written as Markdown."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("step", "outcome", "minutes", "what it says"):
        table.add_column(name, justify="right" if name == "minutes" else "left")
    lines = ["| step | outcome | minutes | what it says | command |", "|---|---|---|---|---|"]
    for one in done:
        cells = (one.step.name, _verdict(one), f"{one.minutes:.1f}", one.said)
        table.add_row(*map(Text, cells))
        escaped = (cell.replace("|", "\\|") for cell in (*cells, f"`{one.step.line}`"))
        lines.append(f"| {' | '.join(escaped)} |")
    open_console(highlight=False).print(table)
    with suppress(RecordsError):  # a full disk; it stands in the terminal
        write(folder / SUMMARY, "\n".join(lines) + "\n")
    print(f"Records, logs and {SUMMARY}: {folder}")
    if (folder / "published").is_dir():
        target = REPOSITORY / "reports" / "published" if CLONE else "your repository"
        print(f"To be committed: copy {folder / 'published'}/* to {target}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        sys.exit(cannot_run("bench gpu", error))
