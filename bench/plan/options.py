"""The options of `python -m bench`; mistakes that need no checkpoint are found here."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from bench.arms.specs import ARMS, DEFAULT_ARMS, PEER_ARMS
from bench.judge.verdict import MARGIN
from bench.plan.plan import PROCESSES
from bench.workload.work import ELEMENT_BYTES
from reports.commands import Parser, add_quiet, duration
from reports.saved.environment import default_threads, usable_cpus
from verify.options import add_padded_vocab

DEVICES = r"cpu|all|gpu(:\d+)?"
NUMBERS = "N,N"
BUDGET_S = 100.0
"""Five processes of three arms load in half a minute on two cores; as long again is measured."""

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%?")


def make_parser(command: str = "run") -> Parser:
    """The parser of `bench run`, or of another command that measures workloads."""
    parser = Parser(
        prog=f"python -m bench {command}",
        description="Time a GPT-2 in MAX beside others: forward passes (pp) and generation (tg).",
    )
    add_subject(parser.add_argument_group("what is timed"))
    workload_options(parser.add_argument_group("workloads"))
    _add_arms(parser.add_argument_group("who runs"))
    _add_method(parser.add_argument_group("how it is timed"))
    output_options(parser.add_argument_group("where results go"))
    return parser


def add_subject(group: argparse._ActionsContainer) -> None:
    """The checkpoint and the device."""
    add = group.add_argument
    add(
        "--model",
        action="append",
        help="tiny (default), random:PRESET[:REGIME], a folder, or a hub id such as "
        "openai-community/gpt2; repeat it to measure several",
    )
    add("--revision", help="branch, tag or commit on the hub")
    add(
        "--device",
        default=["all"],
        type=_devices,
        metavar="D,D",
        help="cpu, gpu, gpu:N or all (default)",
    )


def workload_options(group: argparse._ActionsContainer) -> None:
    """Sizes."""
    add = group.add_argument
    add("-p", type=_sizes, default=[32, 128], metavar=NUMBERS,
        help="forward passes: tokens (32,128)")  # fmt: skip
    add("-n", type=_sizes, default=[16], metavar=NUMBERS,
        help="generation: decode steps (16)")  # fmt: skip
    add("-d", type=_sizes, default=[32], metavar=NUMBERS,
        help="generation: tokens of context before (32)")  # fmt: skip
    add("-b", type=counts, default=[1], metavar=NUMBERS, help="batch sizes (1)")
    add(
        "--logits",
        choices=["all", "last"],
        default="all",
        help="positions whose logits a forward pass gives, in every arm (all)",
    )


def _add_arms(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    arms_option(group, list(DEFAULT_ARMS))
    add("--baseline", type=_arm, metavar="ARM",
        help="the arm that ratios are taken to (default: torch, or the first); the first line of "
        "the results is about max all the same")  # fmt: skip
    add("--candidate", metavar="FILE.py:NAME",
        help="your own MAX GPT-2, as python -m verify takes it: the arm `candidate`")  # fmt: skip
    add("--pairing", metavar="FILE.toml", help="its pairing file, which python -m verify writes")
    add("--output", choices=["logits", "hidden"], default="logits",
        help="what it returns (logits)")  # fmt: skip
    add_padded_vocab(group)
    add(
        "--dtype",
        type=dtypes_of,
        default=[],
        metavar="T,T",
        help="float32, bfloat16, bfloat16-products, bfloat16-cache, int8: each arm in each of "
        "these that it has (default: as named)",
    )
    add("-t", "--threads", type=_threads, default=[default_threads()], metavar=NUMBERS,
        help="CPUs of every arm (default: the usable ones)")  # fmt: skip


def arms_option(group: argparse._ActionsContainer, default: list[str]) -> None:
    """Who runs."""
    group.add_argument(
        "--arms",
        type=_arms,
        default=default,
        metavar="A,A",
        help=f"who runs: {', '.join(ARMS)} (default: {','.join(default)}); peers: "
        f"{','.join(PEER_ARMS)}; one named twice runs against itself",
    )


def blocks_option(group: argparse._ActionsContainer, default: int | None) -> None:
    """How many turns each arm takes."""
    group.add_argument(
        "--blocks",
        type=positive,
        default=default,
        metavar="N",
        help="turns of each arm and workload, rounded up to a multiple of two in each process"
        + (f" ({default})" if default else ", in place of a budget"),
    )


def margin_option(group: argparse._ActionsContainer) -> None:
    """What difference matters."""
    group.add_argument(
        "--margin",
        type=_percent,
        default=MARGIN,
        metavar="1%",
        help="the largest difference that does not matter: SAME lies within it (1%%)",
    )


def processes_option(group: argparse._ActionsContainer, default: int) -> None:
    """How many processes each arm has, one after the other."""
    group.add_argument(
        "--processes",
        type=positive,
        default=default,
        metavar="G",
        help=f"processes of each arm, one after the other: each is one draw ({default})",
    )


def _add_method(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--budget",
        type=duration,
        default=BUDGET_S,
        metavar="100s",
        help="how long the whole run may take, loading and judging included (default: 100s)",
    )
    processes_option(group, PROCESSES)
    margin_option(group)
    blocks_option(group, None)
    add("--seed", type=natural, default=0, help="draws token ids and turns (0)")
    add("--cold", action="store_true", help="also compile once with empty caches, and record it")


def output_options(group: argparse._ActionsContainer) -> None:
    """Where results go."""
    add = group.add_argument
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    add("--json", type=Path, metavar="PATH",
        help="write rows, effects and ceilings as JSON; - is standard output")  # fmt: skip
    add("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    add_quiet(group, "how many rows are VALID")


def natural(text: str) -> int:
    """0, 1, 2, ..."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def positive(text: str) -> int:
    """1, 2, 3, ..."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _sizes(text: str) -> list[int]:
    return list(dict.fromkeys(natural(part) for part in text.split(",")))


def counts(text: str) -> list[int]:
    """`1,2,4`, each once."""
    return list(dict.fromkeys(positive(part) for part in text.split(",")))


def _threads(text: str) -> list[int]:
    asked, usable = counts(text), len(usable_cpus())
    if (most := max(asked)) > usable:
        raise argparse.ArgumentTypeError(f"{most} is more than the {usable} usable CPUs")
    return asked


def _arms(text: str) -> list[str]:
    return _chosen(text, "arm", list(ARMS))


def _arm(text: str) -> str:
    if text not in ARMS:
        raise argparse.ArgumentTypeError(f"unknown arm {text!r}; choose from {', '.join(ARMS)}")
    return text


def dtypes_of(text: str) -> list[str]:
    """`float32,bfloat16`, each once."""
    known = [name for name in ELEMENT_BYTES if any(s.dtype == name for s in ARMS.values())]
    return list(dict.fromkeys(_chosen(text, "dtype", known)))


def _chosen(text: str, what: str, known: list[str]) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(
            f"unknown {what} {unknown[0]!r}; choose from {', '.join(known)}"
        )
    return names


def _devices(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if not re.fullmatch(DEVICES, name)]:
        raise argparse.ArgumentTypeError(
            f"unknown device {unknown[0]!r}; choose cpu, gpu, gpu:N or all"
        )
    return names


def _percent(text: str) -> float:
    """`1%`, `0.5%`, as a share."""
    match = _PERCENT.fullmatch(text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage such as 1% or 0.5%")
    return share
