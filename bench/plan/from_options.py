"""From options to plans: everything that can be wrong is found before anything is measured."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.arms import tf32
from bench.arms.specs import CANDIDATE, labels_of, spec_of, variants_of, with_null
from bench.plan.plan import CandidateSpec, Plan
from bench.worker.process import Worker
from bench.workload.workload import workloads
from reference.load import load
from reports.commands import UsageError, check_appended, check_written
from verify.candidate.guard import CandidateError
from verify.candidate.own_files import digest, table_of_candidate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.workload.workload import Workload
    from impl.config import GPT2Config


def make_plans(options: argparse.Namespace) -> tuple[list[Plan], str]:
    """One plan for each model, and why there is no accelerator among the devices.

    Raises:
        UsageError, reference.checkpoint.CheckpointError: for what cannot be carried out.
    """
    tf32.allowed()
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")
    wanted = workloads(options.p, options.n, options.d, options.b, options.logits)
    if not wanted:
        raise UsageError("there is nothing to time: -p and -n are both 0")
    named = find_candidate(options)
    own = [CANDIDATE] if named and CANDIDATE not in options.arms else []
    names = in_dtypes([*own, *options.arms], options.dtype)
    if options.baseline and options.baseline not in names:
        raise UsageError(
            f"--baseline {options.baseline}: it takes no part; the arms are {', '.join(names)}"
        )
    arms = with_null(labels_of(names), options.baseline or "")
    models = dict.fromkeys(options.model or ["tiny"])
    checkpoints = [load(name, revision=options.revision) for name in models]
    for checkpoint in checkpoints:
        check_lengths(checkpoint.config, wanted)
    devices, skipped = find_devices(options.device)
    plans = [
        Plan(
            model=checkpoint.name,
            revision=options.revision,
            config=checkpoint.config,
            weights_sha256=checkpoint.sha256,
            devices=devices,
            arms=arms,
            workloads=wanted,
            threads=options.threads,
            budget_s=options.budget,
            blocks=options.blocks,
            processes=options.processes,
            margin=options.margin,
            seed=options.seed,
            cold=options.cold,
            named=named,
            notes=list(checkpoint.notes),
            baseline=options.baseline or "",
        )
        for checkpoint in checkpoints
    ]
    return plans, skipped


def find_candidate(options: argparse.Namespace) -> CandidateSpec | None:
    """What `--candidate` names; its code is not run here.

    Raises:
        UsageError: where it is not there, or misses.
    """
    if options.candidate is None:
        own = options.pairing or options.output != "logits" or options.padded_vocab
        if CANDIDATE in options.arms or own:
            raise UsageError(
                "the arm candidate, --pairing, --output and --padded-vocab need "
                "--candidate FILE.py:NAME"
            )
        return None
    if options.pairing and not Path(options.pairing).is_file():
        raise UsageError(f"--pairing: there is no file {options.pairing}")
    try:
        files = table_of_candidate(options.candidate)
    except CandidateError as error:
        raise UsageError(str(error)) from None
    return CandidateSpec(
        candidate=options.candidate,
        sha256=digest(files),
        files=files,
        pairing=options.pairing or "",
        output=options.output,
        padded_vocab=options.padded_vocab,
    )


def in_dtypes(arms: Sequence[str], dtypes: Sequence[str]) -> list[str]:
    """Each arm in each dtype that it has; without dtypes the arms as they are named.

    Raises:
        UsageError: for an arm that has none of these.
    """
    if not dtypes:
        return list(arms)
    chosen = []
    for arm in arms:
        found = [name for name in variants_of(arm) if spec_of(name).dtype in dtypes]
        if not found:
            raise UsageError(f"--dtype: {arm} has no {' or '.join(dtypes)}")
        chosen += found
    return chosen


def check_lengths(config: GPT2Config, wanted: Sequence[Workload]) -> None:
    """Raise UsageError for more tokens than the model has positions."""
    for workload in wanted:
        if workload.length > config.n_positions:
            raise UsageError(
                f"{workload.name}: prompt and new tokens are {workload.length}, more than the "
                f"model's {config.n_positions} positions"
            )


def find_devices(asked: Sequence[str]) -> tuple[list[str], str]:
    """The devices to measure on, and why `all` leaves the accelerator out."""
    if asked == ["cpu"]:
        return ["cpu"], ""
    found, none = found_devices()
    gpus = [name for name in found if name != "cpu"]
    chosen: list[str] = []
    for name in asked:
        match name:
            case "all":
                chosen += found
            case "gpu" if gpus:
                chosen.append(gpus[0])
            case _ if name in found:
                chosen.append(name)
            case _:
                reason = f"this machine has {', '.join(found)}" if gpus else none
                raise UsageError(f"--device {name}: {reason}")
    return list(dict.fromkeys(chosen)), "" if gpus or "all" not in asked else none


def found_devices() -> tuple[list[str], str]:
    """The devices that MAX finds, asked in a process of its own, and why there is only the CPU."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "devices.log"
        with Worker(["devices"], log) as worker:
            reply = worker.receive()
    return reply["devices"], reply["none"]
