"""The options of `python -m bench`; mistakes that need no checkpoint are found here."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NoReturn

from bench.arms import ARMS
from reports.environment import usable_cpus

CANNOT_RUN = 2

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|)")


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(CANNOT_RUN, f"{self.prog}: {message}; see --help\n")


def make_parser() -> Parser:
    """The parser of the command line."""
    parser = Parser(
        prog="python -m bench",
        description="Time a GPT-2 in MAX and in PyTorch: forward passes (pp) and generation (tg).",
    )
    parser.add_argument("command", nargs="?", choices=["run"], default="run", help="run (default)")
    _add_subject(parser.add_argument_group("what is timed"))
    _add_method(parser.add_argument_group("how it is timed"))
    _add_output(parser.add_argument_group("where results go"))
    return parser


def _add_subject(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--model",
        default="tiny",
        help="tiny (default), random:PRESET[:REGIME], a folder, or a hub id such as "
        "openai-community/gpt2",
    )
    add("--revision", help="branch, tag or commit on the hub")
    add("--device", default="all", type=_device, help="cpu, gpu, gpu:N or all (default)")
    numbers = "N,N"
    add(
        "-p",
        type=_sizes,
        default=[32, 128],
        metavar=numbers,
        help="forward passes: tokens (32,128)",
    )
    add("-n", type=_sizes, default=[16], metavar=numbers, help="generation: new tokens (16)")
    add("-d", type=_positive, default=32, metavar="N", help="generation: tokens of the prompt (32)")
    add("-b", type=_batches, default=[1], metavar=numbers, help="batch sizes (1)")
    add(
        "--arms",
        type=_arms,
        default=list(ARMS),
        metavar="A,A",
        help=f"who runs: {', '.join(ARMS)} (default: all); one named twice runs against itself",
    )


def _add_method(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--threads", type=_threads, metavar="N", help="of every arm (default: the usable CPUs)")
    add(
        "--budget",
        type=_duration,
        default=60.0,
        metavar="60s",
        help="how long to measure, once all is compiled (default: 60s)",
    )
    add(
        "--blocks",
        type=_positive,
        metavar="N",
        help="turns of each arm and workload, in place of a budget; rounded up to an even number",
    )
    add("--seed", type=_natural, default=0, help="draws token ids, turns and random weights (0)")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    add("--json", type=Path, metavar="PATH", help="write rows and effects as JSON")


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _sizes(text: str) -> list[int]:
    return list(dict.fromkeys(_natural(part) for part in text.split(",")))


def _batches(text: str) -> list[int]:
    return list(dict.fromkeys(_positive(part) for part in text.split(",")))


def _threads(text: str) -> int:
    threads, usable = _positive(text), len(usable_cpus())
    if threads > usable:
        raise argparse.ArgumentTypeError(f"{threads} is more than the {usable} usable CPUs")
    return threads


def _arms(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ARMS]:
        raise argparse.ArgumentTypeError(
            f"unknown arm {unknown[0]!r}; choose from {', '.join(ARMS)}"
        )
    return names


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|all|gpu(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"unknown device {text!r}; choose cpu, gpu, gpu:N or all")
    return text


def _duration(text: str) -> float:
    """`60s`, `1.5m` or `90`, in seconds."""
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * (60 if match[2] == "m" else 1) if match else 0.0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 60s or 2m")
    return seconds
