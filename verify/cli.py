"""`python -m verify`: is the MAX model the same model as PyTorch's?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from impl.engine import DTYPES as ENGINE_DTYPES
from impl.engine import KERNELS, EngineError
from impl.runtime import DeviceError, check_device, device_names
from impl.tokenizer import TokenizerError
from impl.weights import WeightsError
from reference.checkpoint import CheckpointError
from reference.decoder import load_decoder
from reference.dtypes import DTYPES
from reference.load import load
from reference.regimes import REGIMES
from reports.environment import collect
from reports.files import PAGE, check_target
from reports.records import SCHEMA_VERSION, RecordsError, RunWriter
from reports.render import render
from verify import diff
from verify.cases import chosen_shapes
from verify.decoder import SIZES, verify_decoder
from verify.display import WIDTH, show
from verify.engine import Form
from verify.factory import source_sha256
from verify.guard import CandidateError
from verify.pairing import PairingError, to_toml
from verify.pairing_table import pairing_table
from verify.prepare import OUTPUTS, Subject, subject_of
from verify.run import DEFAULT_REGIMES, Plan, report, verify
from verify.sandbox import OWN_CODE_S, say, write_error
from verify.steps import cli as steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from impl.config import GPT2Config
    from verify.pairing import Pairing
    from verify.rule import Check
    from verify.run import Outcome

EXIT = {"PASS": 0, "FAIL": 1, "UNDERPOWERED": 1, "ERROR": 2}
INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended."""

KNOWN_ERRORS = (
    CheckpointError, DeviceError, EngineError, PairingError, RecordsError, TokenizerError,
    WeightsError,
)  # fmt: skip


class UsageError(ValueError):
    """An option that cannot be carried out, told in one sentence."""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0 for PASS, 1 for FAIL, 2 where nothing could be judged."""
    if argv and argv[0] in ("step", "steps"):
        return steps.main(argv)
    if argv and argv[0] == "diff":
        return diff.main(argv[1:])
    options = _parser().parse_args(argv)
    try:
        if options.reference:
            return _run_decoder(options)
        plan = _plan(options)
        return _run(plan, options, ["python", "-m", "verify", *argv])
    except CandidateError as error:
        print(f"verify: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        print("Verdict: ERROR")
        if options.json:
            write_error(options.json, str(error))
        return 2
    except (UsageError, *KNOWN_ERRORS) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify",
        description="Compare a GPT-2 in MAX with PyTorch / Hugging Face, layer by layer.",
    )
    add = parser.add_argument
    add(
        "--model",
        default="tiny",
        help="tiny (default), random:PRESET[:REGIME], a folder, or a hub id",
    )
    add("--revision", help="branch, tag or commit on the hub")
    add(
        "--candidate",
        metavar="FILE.py:NAME",
        help="what makes another model than impl's from the configuration",
    )
    add(
        "--reference",
        metavar="hf:FOLDER",
        help="a decoder of transformers to compare --candidate with, instead of a GPT-2",
    )
    add(
        "--pairing",
        type=Path,
        metavar="FILE.toml",
        help="the candidate's names beside the reference's: read if it is there, else written",
    )
    add(
        "--output",
        default="logits",
        choices=OUTPUTS,
        help="what the candidate returns: logits (default), or hidden states",
    )
    add(
        "--time-limit",
        type=_positive,
        metavar="S",
        help=f"seconds that the candidate's own code may take at a stretch ({OWN_CODE_S:g})",
    )
    add(
        "--memory-limit",
        type=_positive,
        metavar="GiB",
        help="memory that a candidate may take (80%% of what is free)",
    )
    add("--device", default="all", help="cpu, gpu, gpu:N or all (default)")
    add(
        "--dtype",
        default="float32",
        choices=list(DTYPES),
        help="precision of the candidate, in which PyTorch computes too (default float32)",
    )
    add("--lengths", type=_sizes, metavar="N,N", help="sequence lengths")
    add("--batch", type=_sizes, metavar="N,N", help="batch sizes")
    add(
        "--regimes",
        type=_names,
        metavar="R,R",
        help=f"states of the weights: {', '.join(REGIMES)}",
    )
    add(
        "--engines",
        type=_engines,
        default="auto",
        metavar="E,E",
        help="KV-cached engines, such as auto (default), mojo,stock or mojo:bfloat16; or none",
    )
    add("--seed", type=int, default=0)
    add(
        "--power",
        action="store_true",
        help="show every planted fault, and plant them in MAX graphs too",
    )
    add("--json", type=Path, metavar="PATH", help="write the outcome as JSON")
    add("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    add("--out", type=Path, metavar="DIR", help="folder for records and tables")
    return parser


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1,8,33") from None
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{min(sizes)} is not a positive number")
    return sizes


def _engines(text: str) -> list[Form]:
    try:
        return [] if text == "none" else [Form.parse(part) for part in text.split(",")]
    except ValueError as error:
        known = f"{', '.join(KERNELS)}, each with :{' or :'.join(ENGINE_DTYPES[1:])}"
        raise argparse.ArgumentTypeError(f"{error}; choose from {known}") from None


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in REGIMES]:
        raise argparse.ArgumentTypeError(
            f"unknown {unknown[0]!r}; choose from {', '.join(REGIMES)}"
        )
    return names


def _plan(options: argparse.Namespace) -> Plan:
    """Turn options into a plan, or say what is wrong with them, before anything is written."""
    if options.seed < 0:
        raise UsageError(f"--seed must not be negative, but is {options.seed}")
    if options.json:
        _check_json(options.json)
    if options.summary:
        check_target(options.summary, "--summary")
    devices = _devices(options.device)
    checkpoint = load(options.model, revision=options.revision, seed=options.seed)
    _check_lengths(checkpoint.config, options.lengths)
    random = checkpoint.name.startswith("random:")
    return Plan(
        checkpoint=checkpoint,
        devices=devices,
        regimes=options.regimes or (("given", "stress") if random else DEFAULT_REGIMES),
        sizes=chosen_shapes(checkpoint.config, options.lengths, options.batch),
        seed=options.seed,
        dtype=options.dtype,
        subject=_subject(options, checkpoint.config.n_layer) if options.candidate else None,
        max_faults=options.power,
        # Another candidate is not what the engine was made from; other precisions have no engine.
        engines=() if options.candidate or options.dtype != "float32" else options.engines,
    )


def _subject(options: argparse.Namespace, n_layer: int) -> Subject:
    return subject_of(options.candidate, options.pairing, options.output, n_layer)


def _candidate(reference: str | None) -> dict[str, str]:
    """What the run's environment tells of the candidate."""
    if reference is None:
        return {"candidate": "impl"}
    return {"candidate": reference, "candidate_sha256": source_sha256(reference)}


def _check_json(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"--json: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"--json: {path} cannot be written")


def _devices(asked: str) -> list[str]:
    if asked == "all":
        return device_names()
    check_device(asked)
    return [asked]


def _check_lengths(config: GPT2Config, lengths: Sequence[int] | None) -> None:
    longest = max(lengths or [0])
    if longest > config.n_positions:
        raise UsageError(
            f"--lengths: {longest} tokens are more than the model's {config.n_positions} positions"
        )


def _run(plan: Plan, options: argparse.Namespace, command: Sequence[str]) -> int:
    console = Console(width=WIDTH if not sys.stdout.isatty() else None)
    environment = collect(
        weights_sha256=plan.checkpoint.sha256,
        accelerator=next((name for name in plan.devices if name != "cpu"), None),
        extra={"model": plan.checkpoint.name, **_candidate(options.candidate)},
    )
    writer = RunWriter("verify", command=command, environment=environment, out=options.out)
    with writer:
        try:
            outcome = _verify_with_progress(plan, writer, console)
        except KeyboardInterrupt:
            print(
                f"verify: interrupted; the finished checks are in {writer.folder}", file=sys.stderr
            )
            return INTERRUPTED
        for record in outcome.power.records():
            writer.write(record)
        writer.finish(
            {
                "verdict": outcome.verdict,
                "devices": list(plan.devices),
                "dtypes": [plan.dtype],
                "first_divergence": report(outcome, {}, SCHEMA_VERSION)["first_divergence"],
                "coverage": outcome.coverage(),
                "observer_effect": outcome.observer_effect,
                "power": outcome.power.report(),
                "order": outcome.order,
            }
        )
    if outcome.pairing and not outcome.pairing.by_path:
        console.print(pairing_table(outcome.pairing))
    show(console, outcome, power=options.power)
    if options.pairing and outcome.pairing:
        _write_pairing(options, outcome.pairing, console)
    divergence = outcome.first_divergence
    outcome.artefacts.save(writer.folder, divergence.case if divergence else None)
    render(writer.folder, options.summary)
    console.print(f"Report: {_relative(writer.folder) / PAGE}")
    if options.json:
        _write_json(options.json, report(outcome, environment, SCHEMA_VERSION))
    return EXIT[outcome.verdict]


def _run_decoder(options: argparse.Namespace) -> int:
    """Compare a candidate with a decoder of transformers; tables and `--json`, no records."""
    folder = options.reference.removeprefix("hf:")
    if not options.candidate or folder == options.reference:
        raise UsageError("--reference is hf:FOLDER, and needs a --candidate to compare with it")
    if options.json:
        _check_json(options.json)
    console = Console(width=WIDTH if not sys.stdout.isatty() else None)
    model = load_decoder(folder)
    subject = _subject(options, model.config.num_hidden_layers)
    console.print("cpu: compiling the model (about a minute, seconds from then on)")
    sizes = [(b, n) for b in options.batch or (1,) for n in options.lengths or ()]
    outcome = verify_decoder(model, subject, seed=options.seed, sizes=sizes or SIZES)
    if outcome.pairing and not outcome.pairing.by_path:
        console.print(pairing_table(outcome.pairing))
    show(console, outcome)
    console.print("No faults are planted for this architecture: the run tells no power.")
    if options.pairing and outcome.pairing:
        _write_pairing(options, outcome.pairing, console)
    if options.json:
        _write_json(options.json, report(outcome, {}, SCHEMA_VERSION))
    return EXIT[outcome.verdict]


def _verify_with_progress(plan: Plan, writer: RunWriter, console: Console) -> Outcome:
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = progress.add_task("starting", total=plan.case_count)
    seen: set[str] = set()

    def emit(check: Check) -> None:
        ran = {"model": plan.checkpoint.name, "seed": plan.seed}
        writer.write({"record": "check", **ran, **check.record()})
        if check.mode == "isolated" and check.case not in seen:
            seen.add(check.case)
            progress.update(task, completed=len(seen))

    live: AbstractContextManager[Any] = progress if console.is_terminal else nullcontext()
    with live:
        return verify(plan, emit, _status(progress, task, console))


def _status(progress: Progress, task: Any, console: Console) -> Callable[[str], None]:
    """Say what goes on: in the progress bar or, where there is none, the long parts only."""

    def status(text: str) -> None:
        say(text)
        progress.update(task, description=text)
        if not console.is_terminal and "compiling" in text:
            console.print(text)

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


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """Write all of it or nothing."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"--json: {path} cannot be written: {error.strerror}") from error


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
