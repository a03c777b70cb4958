"""The options of `python -m bench sweep` and `python -m bench machines`."""

from __future__ import annotations

import argparse

from bench.arms.specs import DEFAULT_ARMS
from bench.plan.options import (
    BUDGET_S,
    NUMBERS,
    arms_option,
    counts,
    dtypes_of,
    margin_option,
    natural,
    output_options,
    processes_option,
    workload_options,
)
from bench.plan.plan import PROCESSES
from reports.commands import Parser, duration
from reports.saved.environment import default_threads
from verify.fleet.fleet_options import add_on
from verify.fleet.unit import Spread

MACHINE_BUDGET_S = 60.0
"""For the short run of fixed workloads, with three processes of each arm."""


def sweep_parser() -> Parser:
    """The parser of `bench sweep`."""
    parser = Parser(
        prog="python -m bench sweep",
        description="Benchmark models x dtypes x sizes x threads, each unit a run of its own whose "
        "arms take turns on one machine; on a cluster, on each kind of machine. The same command "
        "with the same --out continues a sweep that was stopped.",
    )
    subject = parser.add_argument_group("what is timed")
    _models(subject)
    subject.add_argument("--revision", help="branch, tag or commit on the hub")
    _device(subject)
    workload_options(parser.add_argument_group("workloads"))
    _who(parser.add_argument_group("who runs"))
    _how(parser.add_argument_group("how it is timed"), BUDGET_S, PROCESSES)
    _where(parser)
    return parser


def machines_parser() -> Parser:
    """The parser of `bench machines`."""
    parser = Parser(
        prog="python -m bench machines",
        description="What each machine of a cluster, or this one alone, can do at most, and a "
        "short run of fixed workloads there: a table of machines.",
    )
    subject = parser.add_argument_group("what is timed")
    subject.add_argument("--model", default="tiny", help="as in python -m bench (tiny)")
    _device(subject)
    arms_option(parser.add_argument_group("who runs"), list(DEFAULT_ARMS))
    _how(parser.add_argument_group("how it is timed"), MACHINE_BUDGET_S, 3)
    where = _where(parser)
    where.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        default=[],
        metavar="RUN",
        type=str,
        help="measure nothing: one table of what these runs found, or published folders of them",
    )
    return parser


def _models(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--models", type=names, default=["tiny"], metavar="A,A",
        help="tiny (default), random:PRESET[:REGIME], folders, or hub ids",
    )  # fmt: skip


def _device(group: argparse._ActionsContainer) -> None:
    group.add_argument("--device", default="cpu", metavar="D", help="cpu (default), gpu or gpu:N")


def _who(group: argparse._ActionsContainer) -> None:
    arms_option(group, list(DEFAULT_ARMS))
    group.add_argument(
        "--dtypes", type=dtypes_of, default=["float32"], metavar="T,T",
        help="each arm in each of these that it has (float32)",
    )  # fmt: skip
    group.add_argument(
        "-t", "--threads", type=counts, default=[default_threads()], metavar=NUMBERS,
        help="CPUs of every arm (default: those that are usable here)",
    )  # fmt: skip


def _how(group: argparse._ActionsContainer, budget_s: float, processes: int) -> None:
    group.add_argument(
        "--budget-each", type=duration, default=budget_s, metavar="TIME",
        help=f"how long each unit may take, loading included ({budget_s:.0f}s)",
    )  # fmt: skip
    processes_option(group, processes)
    margin_option(group)
    group.add_argument("--seed", type=natural, default=0, help="draws token ids and turns (0)")


def _where(parser: Parser) -> argparse._ArgumentGroup:
    on = parser.add_argument_group("on which machines")
    add_on(on)
    on.add_argument(
        "--most-load", type=_share, default=Spread().most_load, metavar="25%",
        help="how busy other programs may keep a node's CPUs before a unit begins there; it is "
        "looked at again later (25%%)",
    )  # fmt: skip
    group = parser.add_argument_group("where results go")
    output_options(group)
    return group


def _share(text: str) -> float:
    """`25%`, as a share; 0% takes idle nodes alone, 100% every node."""
    number = text.removesuffix("%")
    if not number.isdecimal() or int(number) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0% to 100%")
    return int(number) / 100


def names(text: str) -> list[str]:
    """`A,B`, each once."""
    return list(dict.fromkeys(part for part in text.split(",") if part)) or [text]
