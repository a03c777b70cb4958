"""`python -m verify package`: is an architecture package of MAX Serve the model that it says?"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from reference.checkpoint import CheckpointError, weights_sha256
from reference.load import folder_of
from reports.commands import (
    Parser,
    UsageError,
    add_quiet,
    cannot_run,
    check_appended,
    check_written,
)
from reports.saved.environment import collect
from reports.saved.records import RecordsError
from verify.candidate.guard import CandidateError
from verify.candidate.own_files import described, table_of_package
from verify.job import Job, run
from verify.options import add_json, add_limits, add_table
from verify.package.names import ANSWERS, V3
from verify.pairing.counterpart import PairingError
from verify.pairing.file import from_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

RANDOM = "random"
"""A checkpoint that is drawn: tiny, and every number of its configuration an unusual one."""

DESCRIPTION = """\
Compare an architecture package, as `max serve --custom-architectures` takes it or built into MAX,
with transformers: does it fit the installed MAX, does it read every tensor and every field of the
configuration, is its graph the same mathematics as it is served, does MAX compute that graph?"""


def main(argv: Sequence[str]) -> int:
    """Run the command; returns an exit code of `verify.options.EXIT_CODES`."""
    options = _parser().parse_args(argv)
    options.candidate = options.package
    try:
        with ExitStack() as stack:
            return run(_job(options, stack), options, ["python", "-m", "verify", "package", *argv])
    except CandidateError as error:
        code = cannot_run("verify", error, *getattr(error, "__notes__", ()))
        print("Verdict: ERROR")
        return code
    except (UsageError, CheckpointError, PairingError, RecordsError) as error:
        return cannot_run("verify", error)


def _parser() -> Parser:
    parser = Parser(prog="python -m verify package", description=DESCRIPTION)
    add = parser.add_argument
    add("package", metavar="PATH_OR_NAME",
        help="a folder with ARCHITECTURES, or a built-in such as LlamaForCausalLM or "
        "Olmo2ForCausalLM_ModuleV3")  # fmt: skip
    add("--model", default=RANDOM,
        help=f"{RANDOM} (default): a tiny one is drawn; or a folder, or a hub id")  # fmt: skip
    add("--revision", help="branch, tag or commit on the hub")
    add("--quick", action="store_true", help="everything that needs no compile")
    add("--compile-anyway", action="store_true", help="compile a package that is wrong, too")
    add(
        "--answers",
        type=_answers,
        default=ANSWERS,
        metavar="A,A",
        help=f"which of {', '.join(ANSWERS)}; preflight is always given (default: all)",
    )
    add("--seed", type=int, default=0, help="draws the tiny model, token ids and mutants (0)")
    add("--power", action="store_true", help="judge all mutants of the graph, and show them")
    add("--pairing", type=Path, metavar="FILE.toml",
        help="which module stands for which of transformers': corrected by this file, or "
        "written to it")  # fmt: skip
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    add("--summary", type=Path, metavar="FILE", help="append a summary in Markdown")
    add_table(parser)
    add_json(parser)
    add_quiet(parser)
    add_limits(parser)
    return parser


def _answers(text: str) -> tuple[str, ...]:
    """Some of the answers, for argparse."""
    asked = tuple(text.split(","))
    if unknown := [name for name in asked if name not in ANSWERS]:
        raise argparse.ArgumentTypeError(
            f"there is no answer {unknown[0]!r}; choose from {', '.join(ANSWERS)}"
        )
    return asked


def _job(options: argparse.Namespace, stack: ExitStack) -> Job:
    """What is verified; imports MAX and transformers, which takes seconds."""
    from reference.decoder import load_decoder
    from verify.decoder import weights_of
    from verify.package.answers import PackagePlan, verify_package
    from verify.package.installed.found import find, for_checkpoint, widen
    from verify.package.opening.opened import encoding_of

    if options.seed < 0:
        raise UsageError(f"--seed must not be negative, but is {options.seed}")
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")
    found = find(options.package)
    folder = _folder(options, found, stack)
    layers = _layers(folder)
    corrections = (
        from_toml(options.pairing, layers) if options.pairing and options.pairing.exists() else None
    )
    plan = PackagePlan(
        found=widen(for_checkpoint(found, folder), encoding_of(folder)),
        folder=folder,
        drawn=options.model == RANDOM,
        seed=options.seed,
        quick=options.quick,
        compile_anyway=options.compile_anyway,
        every_mutant=options.power,
        answers=options.answers,
        corrections=corrections,
    )
    name = f"{options.package} on {options.model}"
    return Job(
        work=lambda emit, status: verify_package(plan, emit, status),
        cases=3,
        programs=0 if options.quick else 1,
        environment=collect(
            weights_sha256=weights_sha256(weights_of(load_decoder(str(folder)))),
            extra={"model": name, "checkpoint": str(options.model), **_candidate(options.package)},
        ),
        ran={"model": name, "seed": options.seed},
    )


def _candidate(package: str) -> dict[str, Any]:
    """What the run's environment tells of the package: of a built-in one, MAX's version is all."""
    folder = Path(package)
    return (
        described(package, table_of_package(folder)) if folder.is_dir() else {"candidate": package}
    )


def _folder(options: argparse.Namespace, found: Any, stack: ExitStack) -> Path:
    """The checkpoint's folder; one that is drawn is gone when the stack is closed."""
    if options.model != RANDOM:
        return folder_of(options.model, options.revision)
    from transformers import AutoConfig

    from verify.package.opening.subject import first_line
    from verify.package.reading.drawn import draw

    name = found.architecture.name.removesuffix(V3)
    others = sorted(str(one.value) for one in found.architecture.input_modalities) or ["text"]
    if others != ["text"]:
        raise UsageError(
            f"{name} takes {' and '.join(others)}: only a model of text can be drawn, so give "
            "--model FOLDER"
        )
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="verify-"))) / name
    try:
        narrow = "float32" not in found.architecture.supported_encodings
        draw(name, folder, seed=options.seed, dtype="bfloat16" if narrow else "float32")
        AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # transformers' own, on a configuration of its own
        raise UsageError(f"no tiny {name} can be drawn: {first_line(error)}") from error
    return folder


def _layers(folder: Path) -> int:
    """How many blocks a checkpoint has; 0 where its configuration does not say."""
    import json

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    return int(config.get("num_hidden_layers") or 0)
