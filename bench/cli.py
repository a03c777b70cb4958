"""`python -m bench`: how fast is the MAX model, and how fast is PyTorch on the same inputs?

Exit codes: 0; 1 where timed outputs disagree with the reference; 2 with one sentence where
something could not be run; 130 after Ctrl-C, with everything kept that was measured.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.arms import labels_of, spec_of
from bench.display import WIDTH, pressure_note, show
from bench.options import CANNOT_RUN, make_parser
from bench.plan import Plan
from bench.process import Worker, WorkerError
from bench.rows import DTYPE, make_effects, make_rows, pressure_pct, skip_row
from bench.run import measure
from bench.validity import Subject, why_unverified
from bench.workloads import workloads
from reference.checkpoint import CheckpointError
from reference.load import load
from reports.environment import collect, default_threads
from reports.records import ROOT, SCHEMA_VERSION, RecordsError, RunWriter
from reports.render import render

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from bench.contestant import Contestant
    from bench.workloads import Workload
    from impl.config import GPT2Config

DISAGREED, INTERRUPTED = 1, 130


class UsageError(ValueError):
    """An option that cannot be carried out, told in one sentence."""


def main(argv: Sequence[str]) -> int:
    """Run the command line, and return the exit code."""
    options = make_parser().parse_args(argv)
    try:
        plan, skipped = _plan(options)
        return _run(plan, skipped, options, ["python", "-m", "bench", *argv])
    except KeyboardInterrupt:
        return INTERRUPTED
    except (UsageError, CheckpointError, RecordsError, WorkerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return CANNOT_RUN


def _plan(options: argparse.Namespace) -> tuple[Plan, str]:
    """Turn options into a plan, and why there is no accelerator, before anything is written."""
    _check_json(options.json)
    wanted = workloads(options.p, options.n, options.b, options.d)
    if not wanted:
        raise UsageError("there is nothing to time: -p and -n are both 0")
    checkpoint = load(options.model, revision=options.revision, seed=options.seed)
    _check_lengths(checkpoint.config, wanted)
    devices, skipped = _devices(options.device)
    plan = Plan(
        model=options.model,
        revision=options.revision,
        weights_sha256=checkpoint.sha256,
        devices=devices,
        arms=labels_of(options.arms),
        workloads=wanted,
        threads=options.threads or default_threads(),
        budget_s=options.budget,
        blocks=options.blocks,
        seed=options.seed,
    )
    return plan, skipped


def _check_json(path: Path | None) -> None:
    if path is None:
        return
    if not path.parent.is_dir():
        raise UsageError(f"--json: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"--json: {path} cannot be written")


def _check_lengths(config: GPT2Config, wanted: Sequence[Workload]) -> None:
    for workload in wanted:
        if workload.length > config.n_positions:
            raise UsageError(
                f"{workload.name}: prompt and new tokens are {workload.length}, more than the "
                f"model's {config.n_positions} positions"
            )


def _devices(asked: str) -> tuple[list[str], str]:
    """The devices to measure on, and why `all` leaves the accelerator out."""
    if asked == "cpu":
        return ["cpu"], ""
    found, none = _found_devices()
    gpus = [name for name in found if name != "cpu"]
    if asked == "all":
        return found, "" if gpus else none
    chosen = gpus if asked == "gpu" else [name for name in gpus if name == asked]
    if not chosen:
        raise UsageError(f"--device {asked}: {none if not gpus else 'it has ' + ', '.join(found)}")
    return chosen[:1], ""


def _found_devices() -> tuple[list[str], str]:
    """The devices that MAX finds, asked in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "devices.log"
        with Worker(["devices"], log) as worker:
            reply = worker.receive()
    return reply["devices"], reply["none"]


def _run(plan: Plan, skipped: str, options: argparse.Namespace, command: Sequence[str]) -> int:
    environment = collect(
        weights_sha256=plan.weights_sha256,
        accelerator=next((name for name in plan.devices if name != "cpu"), None),
        extra={"model": plan.model, "seed": plan.seed, "threads": plan.threads},
    )
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    writer = RunWriter("bench", command=command, environment=environment, out=options.out)
    with writer:
        unverified = _unverified(plan, environment)
        _warn(console, plan, unverified)
        contestants, interrupted = _measure(plan, writer, console)
        rows = make_rows(
            contestants, plan.workloads, threads=plan.threads, unverified=unverified
        ) + ([skip_row("max", "gpu", skipped)] if skipped else [])
        effects = make_effects(contestants, rows)
        for record in (*rows, *effects):
            writer.write(record)
        pressure = pressure_pct(contestants)
        if not interrupted:
            writer.finish(
                {"rows": len(rows), "statuses": _statuses(rows), "cpu_pressure_pct": pressure}
            )
    render(writer.folder)
    if interrupted and not any(contestant.samples for contestant in contestants):
        print("bench: interrupted before anything was measured", file=sys.stderr)
        return INTERRUPTED
    show(console, rows, effects)
    if note := pressure_note(pressure):
        console.print(note, style="yellow", highlight=False)
    console.print(f"Records and tables: {_relative(writer.folder)}", highlight=False)
    if interrupted:
        print("bench: interrupted; the table shows what was measured", file=sys.stderr)
        return INTERRUPTED
    if options.json:
        _write_json(options.json, rows, effects, environment)
    return _exit_code(contestants, rows)


def _unverified(plan: Plan, environment: Mapping[str, Any]) -> dict[str, str]:
    """By device, why the MAX model is not verified there."""
    return {
        device: why_unverified(
            Subject(
                command=_verify_command(plan),
                weights_sha256=plan.weights_sha256,
                impl_sha256=environment["impl_sha256"],
                max_version=environment["versions"]["max"],
                device=device,
                dtype=DTYPE,
            ),
            ROOT,
        )
        for device in plan.devices
    }


def _verify_command(plan: Plan) -> str:
    parts = ["python -m verify --model", plan.model]
    parts += ["--revision", plan.revision] if plan.revision else []
    parts += ["--seed", str(plan.seed)] if plan.seed and plan.model.startswith("random:") else []
    return " ".join(parts)


def _warn(console: Console, plan: Plan, unverified: Mapping[str, str]) -> None:
    """Say at once, rather than after a minute, that rows will have no speed."""
    if any(spec_of(label).candidate for label in plan.arms):
        for device, reason in unverified.items():
            if reason:
                text = f"MAX on {device} will show no speed: {reason}"
                console.print(text, style="yellow", markup=False, highlight=False)


def _measure(plan: Plan, writer: RunWriter, console: Console) -> tuple[list[Contestant], bool]:
    """Measure with a progress bar; returns what was measured, and whether Ctrl-C ended it."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    live: AbstractContextManager[Any] = progress if console.is_terminal else nullcontext()
    contestants: list[Contestant] = []
    try:
        with live:
            status = _status(progress, console)
            for group in measure(plan, writer.write, _logs(writer.folder), status):
                contestants += group
    except KeyboardInterrupt:
        return contestants, True
    return contestants, False


def _logs(folder: Path) -> Path:
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return logs


def _status(progress: Progress, console: Console) -> Callable[[str, float | None], None]:
    """Say what goes on: in the progress bar, or else, without a terminal, the long parts only."""
    task = progress.add_task("starting", total=None)

    def status(text: str, done: float | None) -> None:
        progress.update(
            task, description=text, completed=done or 0, total=None if done is None else 1
        )
        if not console.is_terminal and "loading" in text:
            console.print(text, markup=False, highlight=False)

    return status


def _statuses(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = [row["status"] for row in rows]
    return {status: found.count(status) for status in dict.fromkeys(found)}


def _exit_code(contestants: Sequence[Contestant], rows: Sequence[Mapping[str, Any]]) -> int:
    if any(contestant.disagreements for contestant in contestants):
        return DISAGREED
    return CANNOT_RUN if any(row["status"] == "ERROR" for row in rows) else 0


def _write_json(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    effects: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
) -> None:
    """Write all of it or nothing."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "rows": [_without_kind(row) for row in rows],
        "effects": [_without_kind(effect) for effect in effects],
        "environment": environment,
    }
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"--json: {path} cannot be written: {error.strerror}") from error


def _without_kind(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "record"}


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
