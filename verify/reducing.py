"""`python -m verify reduce`: the smallest graph that MAX computes wrongly, as a file that shows it.

What it starts from is a run in which `python -m verify` blamed MAX's compiler, or a candidate.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType

from impl.compiling import announced_to
from impl.runtime import DeviceError, build, open_device
from impl.weights import WeightsError
from reference.checkpoint import CheckpointError
from reference.dtypes import DECLARED, rounded
from reference.load import load
from reference.regimes import with_regime
from reports.commands import (
    CANNOT_RUN,
    Parser,
    UsageError,
    as_called,
    check_written,
    exit_code_of,
    how_stopped,
    open_console,
)
from reports.saved.files import write
from reports.saved.records import RecordsError, read_run
from reports.tables.numbers import duration, times_allowed
from reports.waiting import Waiting, print_line
from verify.candidate.guard import CandidateError
from verify.candidate.model_graphs import trace_model
from verify.candidate.sandbox import say
from verify.graph.errors import GraphError
from verify.options import add_padded_vocab, positive
from verify.pairing.counterpart import PairingError
from verify.pairing.prepare import OUTPUTS, prepare, subject_of
from verify.pairing.translated import PairedCandidate, held_weights
from verify.reduce.reproduction import Story, alone_or_together, reproduction
from verify.reduce.search import CLEAR, NothingWrongError, Search
from verify.reduce.suspect import suspects
from verify.reduce.trials import TimeUpError, Trials
from verify.reduce.words import UnwritableError
from verify.truth.cases import random_cases

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from reference.trace import Array
    from reports.saved.records import Run
    from verify.candidate.model_graphs import Candidate
    from verify.pairing.prepare import NamedCandidate
    from verify.reduce.search import Found
    from verify.reduce.suspect import Suspect

SIZES = ((2, 9), (1, 33), (1, 256))
"""(batch, length) of the inputs that are tried, after that of the run, until one shows a fault
clearly: the error of a sum that is kept in 16 bits grows with its length."""

TIME_LIMIT_S = 1800.0
"""How long a reduction goes on, unless told otherwise."""

COMPILER = "compiler"
"""In a record: MAX is to blame."""

KNOWN_ERRORS = (
    CheckpointError, DeviceError, PairingError, RecordsError, UsageError, WeightsError, GraphError,
    UnwritableError, NothingWrongError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is reduced.

    Attributes:
        candidate: traced.
        weights: by its names.
        ids: inputs to be tried.
        folder: where Mojo kernels are looked for.
        name: of the candidate and the model, in words.
    """

    candidate: Candidate
    weights: Mapping[str, Array]
    ids: Sequence[Array]
    folder: Path
    name: str


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0 where a file was written, 2 where nothing could be reduced."""
    options = parser().parse_args(argv)
    try:
        run = read_run(options.run) if options.run else None
        if run is not None:
            options = as_in(run, options)
        path = options.out or _path(options)
        check_written(path, "--out")
        return _reduce(_subject(options, run), options, path)
    except CandidateError as error:
        print(f"verify: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
    except TimeUpError:
        print("verify: time ran out before a wrong part was found", file=sys.stderr)
    except KNOWN_ERRORS as error:
        print(f"verify: {error}", file=sys.stderr)
    return CANNOT_RUN


def parser() -> argparse.ArgumentParser:
    """The command's options, those of `python -m verify` that name a model among them."""
    made = Parser(
        prog="python -m verify reduce",
        description="Find the smallest graph that MAX computes wrongly, and write a file that "
        "shows it with MAX and NumPy alone.",
    )
    add = made.add_argument
    add("run", nargs="?", type=Path, metavar="RUN", help="a run that blames MAX's compiler")
    add("--candidate", metavar="FILE.py:NAME", help="a candidate, where there is no run")
    add("--reference", metavar="hf:FOLDER", help="a decoder of transformers that it is like")
    add("--model", default="tiny", help="its weights: tiny (default), random:PRESET, a folder")
    add("--revision", help="branch, tag or commit on the hub")
    add("--pairing", type=Path, metavar="FILE.toml", help="the candidate's names")
    add("--output", default="logits", choices=OUTPUTS, help="what the candidate returns")
    add_padded_vocab(made)
    add("--dtype", default="float32", choices=DECLARED, help="its precision (float32)")
    add("--seed", type=int, default=0)
    add(
        "--time-limit",
        type=positive,
        default=TIME_LIMIT_S,
        metavar="S",
        help=f"seconds after which the smallest so far is kept ({TIME_LIMIT_S:g})",
    )
    add("--memory-limit", type=positive, metavar="GiB", help="memory that it may take")
    add("--out", type=Path, metavar="FILE.py", help="what is written (RUN/reduced.py)")
    return made


# ---- what is reduced ----------------------------------------------------------------------------


def as_in(run: Run, options: argparse.Namespace) -> argparse.Namespace:
    """The options with which a run was made, but for what only this command has.

    Raises:
        UsageError: if nothing in the run is MAX's.
    """
    check = _blamed(run)
    if check is None:
        raise UsageError(f"{run.folder}: {_why_not(run)}")
    command = run.header.get("command") or []
    made, _ = parser().parse_known_args([str(word) for word in command[3:]])
    made.run, made.out = options.run, options.out
    made.time_limit, made.memory_limit = options.time_limit, options.memory_limit
    made.check = check
    return made


def _blamed(run: Run) -> dict[str, Any] | None:
    """The smallest case of the place where the run blames MAX; None where it does not."""
    divergence = (run.end or {}).get("first_divergence") or {}
    checks = [check for check in run.of("check") if check.get("verdict") == "FAIL"]
    blamed = [c for c in checks if (c.get("details") or {}).get("blamed_on") == COMPILER]
    if not blamed or (run.end and divergence.get("blamed_on") != COMPILER):
        return None
    first = blamed[-1]
    alike = [c for c in checks if (c["tap"], c["mode"]) == (first["tap"], first["mode"])]
    sized = [c for c in alike if c.get("batch") and c.get("length")] or [first]
    return min(sized, key=lambda c: (c.get("batch") or 1) * (c.get("length") or 1))


def _why_not(run: Run) -> str:
    divergence = (run.end or {}).get("first_divergence") or {}
    if run.end and not divergence:
        return "nothing failed in this run, so that there is nothing to reduce"
    if divergence.get("blame"):
        return f"what failed there is not MAX's: {divergence['blame']}"
    return as_called("this run does not say whose fault it is; run `python -m verify` again")


def _subject(options: argparse.Namespace, run: Run | None) -> Subject:
    """The candidate, its weights and its inputs.

    Raises:
        UsageError: if neither a run nor a candidate is named.
    """
    if run is None and not options.candidate:
        raise UsageError("a RUN or a --candidate is needed")
    make = _decoder if options.reference else _gpt2
    return make(options, getattr(options, "check", None) or {})


def _gpt2(options: argparse.Namespace, check: Mapping[str, Any]) -> Subject:
    """A GPT-2, in the state of the weights in which the check failed."""
    checkpoint = load(options.model, revision=options.revision)
    config, dtype = checkpoint.config, DType[options.dtype]
    regime = check.get("regime") or "given"
    state = rounded(with_regime(checkpoint, regime, seed=options.seed), options.dtype)
    sizes = _sizes(check, config.n_positions)
    cases = random_cases(config, regime, sizes, seed=options.seed, device="cpu")
    model: Candidate | PairedCandidate
    if options.candidate:
        model = prepare(_named(options, config.n_layer), checkpoint, "cpu", dtype)
    else:
        device = open_device("cpu")
        model = trace_model(build(config, device, dtype), device)
    return Subject(
        candidate=model.candidate if isinstance(model, PairedCandidate) else model,
        weights=held_weights(model, state, options.dtype),
        ids=[case.ids for case in cases],
        folder=_folder(options.candidate),
        name=f"{options.candidate or 'impl'}, model {checkpoint.name}",
    )


def _decoder(options: argparse.Namespace, check: Mapping[str, Any]) -> Subject:
    """A decoder of transformers, which takes seconds to import."""
    from reference.decoder import load_decoder
    from verify.decoder import prepare_decoder, weights_of

    model = load_decoder(options.reference.removeprefix("hf:"))
    paired = prepare_decoder(_named(options, model.config.num_hidden_layers), model)
    rng = np.random.default_rng(options.seed)
    sizes = _sizes(check, model.config.max_position_embeddings)
    return Subject(
        candidate=paired.candidate,
        weights=paired.weights_of(weights_of(model)),
        ids=[rng.integers(0, model.config.vocab_size, size, dtype=np.int64) for size in sizes],
        folder=_folder(options.candidate),
        name=f"{options.candidate}, model {options.reference}",
    )


def _named(options: argparse.Namespace, n_layer: int) -> NamedCandidate:
    return subject_of(
        options.candidate, options.pairing, options.output, n_layer,
        padded_vocab=options.padded_vocab,
    )  # fmt: skip


def _sizes(check: Mapping[str, Any], longest: int) -> list[tuple[int, int]]:
    """(batch, length) of the inputs that are tried: of the check that failed, then `SIZES`."""
    own = [(check["batch"], check["length"])] if check.get("batch") else []
    return [(batch, min(length, longest)) for batch, length in (*own, *SIZES)]


def _folder(candidate: str | None) -> Path:
    return Path(candidate.rpartition(":")[0]).parent if candidate else Path("impl")


def _path(options: argparse.Namespace) -> Path:
    """Where the file is written."""
    if options.run:
        return Path(options.run) / "reduced.py"
    name = (options.candidate or "impl").rpartition(":")[2]
    return Path(f"reduced_{name}.py")


# ---- reducing it --------------------------------------------------------------------------------


def _reduce(subject: Subject, options: argparse.Namespace, path: Path) -> int:
    console = open_console(highlight=False)
    started = time.monotonic()
    suspect = _worst_suspect(subject, console)
    origin = f"Found in {suspect.where} of {subject.name}."
    trials = Trials(options.time_limit, say=lambda text: say(f"compiling: {text}"))
    search = Search(trials, say=lambda text: console.print(f"{_since(started)} {text}"))
    search.keep = lambda found: _keep(found, Story(origin=origin), path, console, started)
    try:
        found = search.run(suspect.specimen, suspect.used)
        story = Story(origin=origin, reason=_reason(found, trials, search.limit))
    except KeyboardInterrupt as stop:
        kept = f"the smallest so far is in {path}" if search.smallest else "nothing was found yet"
        print(f"verify: {how_stopped(stop)}; {kept}", file=sys.stderr)
        return exit_code_of(stop)
    write(path, reproduction(found, story, path.name))
    return _proven(path, found, trials, console, started)


def _reason(found: Found, trials: Trials, limit: float) -> str:
    try:
        return alone_or_together(found, trials, limit)
    except TimeUpError:
        return ""


def _worst_suspect(subject: Subject, console: Console) -> Suspect:
    """The stage, or the whole graph, that is furthest from what it means on any of the inputs.

    Raises:
        NothingWrongError: if none is further than rounding explains.
        GraphError: if the graph cannot be evaluated.
    """
    candidate, weights = subject.candidate, subject.weights
    candidate.evaluated(weights).logits(subject.ids[0])  # before minutes are spent
    with announced_to(Waiting(print_line)):
        bound = candidate.bind(weights)
    worst: Suspect | None = None
    for ids in subject.ids:
        for suspect in suspects(candidate, bound, weights, ids, subject.folder):
            if worst is None or suspect.used > worst.used:
                worst = suspect
        if worst and worst.used > CLEAR:
            break
    if worst is None or worst.used <= 1:
        raise NothingWrongError(
            f"MAX computes {subject.name} as its graph is meant: there is nothing to reduce"
        )
    console.print(f"{worst.where}: compiled, {times_allowed(worst.used)} from what it means")
    return worst


def _keep(found: Found, story: Story, path: Path, console: Console, started: float) -> None:
    """Write the smallest so far, so that nothing is lost however this ends."""
    operations, inputs, _ = found.weight
    console.print(
        f"{_since(started)} {operations} operations, {inputs} inputs and symbols: "
        f"{times_allowed(found.trial.used)}"
    )
    write(path, reproduction(found, story, path.name))


def _proven(path: Path, found: Found, trials: Trials, console: Console, started: float) -> int:
    """Run the file as anybody would, and say what it shows."""
    # MAX sets PYTHONEXECUTABLE: a child gets the environment as Python knows it.
    ran = subprocess.run(
        [sys.executable, str(path)], env=os.environ, capture_output=True, text=True, check=False
    )
    lines = len(path.read_text().splitlines())
    console.print(
        f"{trials.graphs} graphs in {trials.programs} programs, {_since(started).strip()}. "
        f"{path}: {found.weight[0]} operations, {lines} lines"
    )
    console.print(ran.stdout.rstrip(), markup=False)
    if ran.returncode != 1:
        console.print(f"but it exits with {ran.returncode}: {ran.stderr.strip()[-300:]}")
        return CANNOT_RUN
    console.print(f"python {path} exits with 1 while MAX is wrong.")
    return 0


def _since(started: float) -> str:
    return f"{duration(time.monotonic() - started):>8}"
