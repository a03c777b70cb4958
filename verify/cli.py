"""`python -m verify`: is the MAX model the same model as PyTorch's?"""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from max.dtype import DType

from impl.engine import DTYPES as ENGINE_DTYPES
from impl.engine import KERNELS, EngineError
from impl.runtime import DeviceError, check_device, device_names
from impl.tokenizer import TokenizerError
from impl.weights import WeightsError
from reference.checkpoint import CheckpointError, weights_sha256
from reference.dtypes import DECLARED
from reference.load import load
from reference.regimes import REGIMES
from reports.commands import (
    Parser,
    UsageError,
    add_quiet,
    cannot_run,
    check_appended,
    check_written,
)
from reports.saved.answer import write_error
from reports.saved.environment import collect
from reports.saved.records import RecordsError
from verify.apart import fence
from verify.candidate.guard import CandidateError
from verify.candidate.own_files import changed, described, table_of, table_of_candidate
from verify.checks.engine import EngineSpec
from verify.job import Job, run
from verify.options import (
    EXIT_CODES,
    add_json,
    add_limits,
    add_padded_vocab,
    add_table,
    listed,
)
from verify.pairing.counterpart import PairingError
from verify.pairing.prepare import OUTPUTS, NamedCandidate, prepare, subject_of
from verify.run import DEFAULT_REGIMES, Plan, verify
from verify.truth.cases import chosen_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impl.config import GPT2Config

GPT2_OPTIONS = ("model", "revision", "dtype", "tf32", "engines", "output")
"""Options that mean nothing together with `--reference`."""

LARGEST_SEED = 2**31
"""Seeds that are drawn are smaller."""

KNOWN_ERRORS = (
    CheckpointError, DeviceError, EngineError, PairingError, RecordsError,
    TokenizerError, WeightsError,
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run the command; returns an exit code of `verify.options.EXIT_CODES`."""
    options = _parser().parse_args(argv)
    try:
        if options.watched:
            return _watched(options)
        job = _decoder_job(options) if options.reference else _gpt2_job(options)
        seed = ["--seed", str(job.ran["seed"])] if _is_drawn(options) else []
        return run(job, options, ["python", "-m", "verify", *argv, *seed])
    except CandidateError as error:
        code = cannot_run("verify", error, *getattr(error, "__notes__", ()))
        print("Verdict: ERROR")
        if options.json and error.place:
            write_error(options.json, str(error), place=error.place)
        return code
    except (UsageError, *KNOWN_ERRORS) as error:
        return cannot_run("verify", error)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m verify",
        usage="python -m verify [options], or python -m verify COMMAND ...",
        description="Compare a GPT-2 in MAX with PyTorch / Hugging Face, layer by layer.",
        epilog=f"{listed()}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        help="which names stand for which of the reference's: read if it exists, else written",
    )
    add(
        "--output",
        default="logits",
        choices=OUTPUTS,
        help="what the candidate returns: logits (default), or hidden states",
    )
    add_padded_vocab(parser)
    add_limits(parser)
    add("--device", default="all", help="cpu, gpu, gpu:N or all (default)")
    add(
        "--dtype",
        default="float32",
        choices=DECLARED,
        help="precision of the candidate, in which PyTorch computes too (default float32)",
    )
    add(
        "--tf32",
        action="store_true",
        help="let products of float32 use TF32, as GPUs of NVIDIA do: 10 bits of each factor",
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
    add(
        "--seed",
        type=int,
        help="draws inputs and states of the weights (default: 0 for impl's own model; for a "
        "--candidate a number that it cannot know, which is shown and recorded)",
    )
    add(
        "--quick",
        action="store_true",
        help="judge the mathematics alone, in float64 and in seconds; nothing is compiled",
    )
    add(
        "--watch",
        action="store_true",
        help="judge the mathematics of --candidate again whenever one of its files is saved",
    )
    add("--watched", type=Path, help=argparse.SUPPRESS)
    add(
        "--compile-anyway",
        action="store_true",
        help="compile also a model whose mathematics is wrong",
    )
    add(
        "--power",
        action="store_true",
        help="show every planted fault, plant them in MAX graphs too, and judge every mutant",
    )
    add_table(parser)
    add_json(parser)
    add_quiet(parser)
    add("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    add("--out", type=Path, metavar="DIR", help="folder for records and tables")
    return parser


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers, such as 1,8,33"
        ) from None
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{min(sizes)} is not a positive number")
    return sizes


def _engines(text: str) -> list[EngineSpec]:
    try:
        return [] if text == "none" else [EngineSpec.parse(part) for part in text.split(",")]
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
    _check_targets(options)
    if options.tf32 and options.dtype != "float32":
        raise UsageError(f"--tf32 is of products of float32, not of {options.dtype}")
    devices = _devices(options.device)
    checkpoint = load(options.model, revision=options.revision)
    _check_lengths(checkpoint.config, options.lengths)
    random = checkpoint.name.startswith("random:")
    subject = _subject(options, checkpoint.config.n_layer) if options.candidate else None
    prepared = {
        device: prepare(subject, checkpoint, device, DType[options.dtype])
        for device in devices
        if subject
    }
    return Plan(
        checkpoint=checkpoint,
        devices=devices,
        regimes=options.regimes or (("given", "stress") if random else DEFAULT_REGIMES),
        sizes=chosen_shapes(checkpoint.config, options.lengths, options.batch),
        seed=seed_of(options),  # drawn now that the candidate's process has ended
        dtype=options.dtype,
        tf32=options.tf32,
        subject=subject,
        prepared=prepared,
        max_faults=options.power,
        quick=options.quick,
        compile_anyway=options.compile_anyway,
        # Another candidate is not what the engine was made from; other precisions have no engine.
        engines=() if options.candidate or options.dtype != "float32" else options.engines,
    )


def seed_of(options: argparse.Namespace) -> int:
    """The seed that is named; else one that a candidate cannot know."""
    if options.seed is not None:
        return int(options.seed)
    return secrets.randbelow(LARGEST_SEED) if options.candidate else 0


def _is_drawn(options: argparse.Namespace) -> bool:
    return options.seed is None and bool(options.candidate)


def _said(options: argparse.Namespace, seed: int) -> list[str]:
    """What a user should know of how a candidate was run."""
    if not options.candidate:
        return []
    said = []
    if _is_drawn(options):
        said.append(f"Inputs were drawn anew: --seed {seed} draws them again")
    if not fence.version():
        said.append("No fence: this system has no Landlock, so the candidate can change your files")
    return said


def _subject(options: argparse.Namespace, n_layer: int) -> NamedCandidate:
    """The candidate that is named, imported; its files have not changed meanwhile."""
    before = table_of_candidate(options.candidate, options.pairing)
    subject = _imported(options, n_layer)
    if saved := changed(before):
        raise CandidateError(f"{saved[0]} was saved while it was read: verify again")
    return subject


def _imported(options: argparse.Namespace, n_layer: int) -> NamedCandidate:
    return subject_of(
        options.candidate, options.pairing, options.output, n_layer,
        padded_vocab=options.padded_vocab,
    )  # fmt: skip


def _candidate(options: argparse.Namespace, subject: NamedCandidate | None) -> dict[str, Any]:
    """What the run's environment tells of the candidate."""
    if options.candidate is None:
        return {"candidate": "impl"}
    static = table_of_candidate(options.candidate, options.pairing)
    table = static | table_of(subject.files if subject else ())
    return {**described(options.candidate, table), "fence": fence.version() > 0}


def _watched(options: argparse.Namespace) -> int:
    """One look of `--watch`."""
    from verify.live.one_look import judge_once

    if options.reference or options.dtype != "float32":
        raise UsageError("--watch is for a GPT-2 in float32")
    judge_once(
        options.model,
        options.revision,
        options.regimes,
        seed_of(options),
        lambda checkpoint: _subject(options, checkpoint.config.n_layer),
        options.watched,
    )
    return 0


def _check_targets(options: argparse.Namespace) -> None:
    if (options.seed or 0) < 0:
        raise UsageError(f"--seed must not be negative, but is {options.seed}")
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")


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


def _gpt2_job(options: argparse.Namespace) -> Job:
    plan = _plan(options)
    name = plan.checkpoint.name
    return Job(
        work=lambda emit, status: verify(plan, emit, status),
        cases=plan.case_count,
        programs=plan.program_count,
        environment=collect(
            weights_sha256=plan.checkpoint.sha256,
            accelerator=next((name for name in plan.devices if name != "cpu"), None),
            extra={
                "model": name,
                "checkpoint_notes": list(plan.checkpoint.notes),
                **({"tf32": True} if plan.tf32 else {}),
                **_candidate(options, plan.subject),
            },
        ),
        notes=plan.checkpoint.notes,
        ran={"model": name, "seed": plan.seed},
        said=_said(options, plan.seed),
        devices=plan.devices,
        dtype=plan.dtype,
    )


def _decoder_job(options: argparse.Namespace) -> Job:
    """Compare a candidate with a decoder of transformers, which takes seconds to import."""
    from reference.decoder import load_decoder
    from verify.decoder import (
        DecoderPlan,
        decoder_sizes,
        prepare_decoder,
        verify_decoder,
        weights_of,
    )

    _check_decoder_options(options)
    _check_targets(options)
    model = load_decoder(options.reference.removeprefix("hf:"))
    sizes = decoder_sizes(model.config, options.lengths, options.batch)
    regimes = _decoder_regimes(options.regimes)
    subject = _subject(options, model.config.num_hidden_layers)
    plan = DecoderPlan(
        model=model,
        subject=subject,
        prepared=prepare_decoder(subject, model),
        sizes=sizes,
        regimes=regimes,
        seed=seed_of(options),
        quick=options.quick,
        compile_anyway=options.compile_anyway,
        every_mutant=options.power,
    )
    return Job(
        work=lambda emit, status: verify_decoder(plan, emit, status),
        cases=len(sizes) * len(plan.regimes),
        environment=collect(
            weights_sha256=weights_sha256(weights_of(model)),
            extra={"model": options.reference, **_candidate(options, plan.subject)},
        ),
        ran={"model": options.reference, "seed": plan.seed},
        said=_said(options, plan.seed),
        programs=0 if options.quick else 1,
    )


def _decoder_regimes(asked: Sequence[str] | None) -> Sequence[str]:
    """The states of the weights of a decoder that are asked for."""
    from reference.decoder import DECODER_REGIMES

    for regime in asked or ():
        if regime not in DECODER_REGIMES:
            raise UsageError(
                f"--regimes: {regime!r} is not one of a decoder's: {', '.join(DECODER_REGIMES)}"
            )
    return asked or DECODER_REGIMES[:1]


def _check_decoder_options(options: argparse.Namespace) -> None:
    """Options that mean nothing, or something else, together with `--reference` are refused."""
    if not options.candidate or not options.reference.startswith("hf:"):
        raise UsageError("--reference is hf:FOLDER, and needs a --candidate to compare with it")
    defaults = _parser().parse_args([])
    for name in GPT2_OPTIONS:
        if getattr(options, name) != getattr(defaults, name):
            raise UsageError(f"--{name} belongs to a GPT-2, and --reference is another decoder")
    if options.device not in ("all", "cpu"):
        raise UsageError(f"--reference is compared on the CPU, and --device is {options.device}")
