"""`python -m bench compare A B`: is run B slower than run A? Exit 1 if it is, for use in CI.

Two runs are two moments of a machine, and arms of the second may all be 10% slower for that alone.
What is compared is therefore each arm's ratio to the baseline of its own run:

    change = (arm / baseline in B) / (arm / baseline in A)

with the bootstrap over the quads of both runs. The baseline (PyTorch) is the control: its code is
the same in both, which the versions must confirm. A regression is a change that is SLOWER beside
the wider null of the two. Runs from unlike environments are refused, with what differs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from bench.judge.statistics import Estimate, log_ratios, ratio_of_ratios, turns
from bench.judge.verdict import Judgement, judge
from bench.screen.tables import STYLES
from reports.commands import Parser, UsageError, open_console
from reports.saved.records import Run, read_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

ALIKE = {
    "machine": ("cpu", "logical_cpus", "usable_cpus", "cgroup_cpus", "memory_bytes", "system"),
    "threads": ("threads",),
    "weights": ("weights_sha256",),
    "accelerator": ("accelerator",),
}
"""What must be equal, by the word that permits a difference (`--despite`)."""

REGRESSION = 1

Key = tuple[Any, ...]


def main(argv: Sequence[str]) -> int:
    """Compare two runs; 1 where an arm became slower, 0 where none did."""
    parser = Parser(prog="python -m bench compare", description=__doc__ and __doc__.split("\n")[0])
    parser.add_argument("before", type=Path, metavar="RUN_A", help="a run's folder")
    parser.add_argument("after", type=Path, metavar="RUN_B", help="a run's folder")
    parser.add_argument(
        "--despite", action="append", default=[], choices=[*ALIKE, "versions"],
        help="compare although these differ; may be repeated",
    )  # fmt: skip
    options = parser.parse_args(argv)
    before, after = read_run(options.before), read_run(options.after)
    check_alike(before, after, options.despite)
    changes = compare(before, after)
    if not changes:
        raise UsageError(
            "the runs have no workload and arm in common that is VALID in both, beside a baseline"
        )
    show(open_console(), changes)
    return REGRESSION if any(j.verdict == "SLOWER" for _, _, j in changes) else 0


def check_alike(before: Run, after: Run, despite: Iterable[str] = ()) -> None:
    """Refuse runs whose environments differ in what changes times.

    Raises:
        UsageError: names what differs, and what would permit it.
    """
    for run in (before, after):
        if run.kind != "bench":
            raise UsageError(f"{run.folder} holds no benchmark, but a run of kind {run.kind!r}")
    first, second = (dict(run.header.get("environment") or {}) for run in (before, after))
    for word, names in ALIKE.items():
        for name in names:
            if word not in despite and first.get(name) != second.get(name):
                raise _unlike(name, first.get(name), second.get(name), word)
    if "versions" not in despite:
        _check_versions(first.get("versions") or {}, second.get("versions") or {})


def _check_versions(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    for name in sorted(first.keys() & second.keys()):
        if first[name] != second[name]:
            raise _unlike(f"version of {name}", first[name], second[name], "versions")


def _unlike(what: str, first: Any, second: Any, word: str) -> UsageError:
    return UsageError(
        f"these runs are from unlike environments: {what} is {first!r} and {second!r}; "
        f"`--despite {word}` compares them all the same"
    )


def compare(before: Run, after: Run) -> list[tuple[Key, Estimate, Judgement]]:
    """For each arm and workload of both runs the change, and what it says."""
    margins = _wider(_margins(before), _margins(after))
    baselines = _baselines(before), _baselines(after)
    times = [_times(run) for run in (before, after)]
    changes = []
    for key in _valid(before):
        if key not in _valid(after) or "#" in key[-1]:
            continue
        logs = [
            log_ratios(found[key], found[(*key[:-1], base.get(key[:-1]))])
            for found, base in zip(times, baselines, strict=True)
            if base.get(key[:-1]) not in (None, key[-1]) and key in found
        ]
        change = ratio_of_ratios(logs[1], logs[0]) if len(logs) == 2 else None
        if change is not None:
            changes.append((key, change, judge(change, margins.get(key[:-1]))))
    return changes


def _place(record: Mapping[str, Any]) -> Key:
    return tuple(record.get(name) for name in ("model", "workload", "device", "threads"))


def _valid(run: Run) -> list[Key]:
    return [(*_place(row), row["arm"]) for row in run.of("row") if row["status"] == "VALID"]


def _baselines(run: Run) -> dict[Key, str]:
    """By place, the arm that ratios were taken to."""
    return {_place(effect): effect["versus"] for effect in run.of("effect")}


def _times(run: Run) -> dict[Key, dict[int, list[float]]]:
    samples: dict[Key, list[Mapping[str, Any]]] = {}
    for sample in run.of("sample"):
        samples.setdefault((*_place(sample), sample["arm"]), []).append(sample)
    return {key: turns(found) for key, found in samples.items()}


def _margins(run: Run) -> dict[Key, float | None]:
    return {_place(null): null.get("margin") for null in run.of("null")}


def _wider(
    first: Mapping[Key, float | None], second: Mapping[Key, float | None]
) -> dict[Key, float | None]:
    """The margin of two independent nulls together; None where either is unknown."""
    wider: dict[Key, float | None] = {}
    for key in first.keys() & second.keys():
        one, other = first[key], second[key]
        both = None if one is None or other is None else np.hypot(math.log(one), math.log(other))
        wider[key] = None if both is None else math.exp(both)
    return wider


def show(console: Console, changes: Sequence[tuple[Key, Estimate, Judgement]]) -> None:
    """Print the table of changes, and how many are regressions."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("workload", "arm", "device", "threads"):
        table.add_column(name)
    table.add_column("change", justify="right")
    table.add_column("verdict")
    for (_, workload, device, threads, arm), change, judgement in changes:
        interval = "" if change.low is None else f" [{change.low:.3f}, {change.high:.3f}]"
        table.add_row(
            workload, arm, device, str(threads), f"{change.value:.3f}{interval}",
            Text(judgement.verdict, STYLES.get(judgement.verdict, "")),
        )  # fmt: skip
    console.print(table)
    slower = sum(judgement.verdict == "SLOWER" for _, _, judgement in changes)
    console.print(
        "change: time beside the baseline's, in the second run over the first. "
        f"{slower} of {len(changes)} became slower.",
        highlight=False,
    )
