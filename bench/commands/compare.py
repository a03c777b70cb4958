"""`python -m bench compare A B`: is run B slower than run A? Exit 1 if it is, for use in CI.

Two runs are two moments of a machine, and arms of the second may all be 10% slower for that alone.
What is compared is therefore each arm's ratio to the baseline of its own run:

    change = (arm / baseline in B) / (arm / baseline in A)

Each ratio is estimated as in its own run (`bench.judge.estimate`), and the change has the errors of
both. The baseline (PyTorch) is the control: its code is the same in both, which the versions must
confirm. Runs from unlike environments are refused, with what differs.

The answer comes first, in a sentence. The same figures are written into the second run's folder, as
a page with a forest plot and as JSON, from which `python -m reports compare` makes the page again.

A run with fewer than three processes of each arm, as all were before format 4, does not tell what
the luck of a process adds; 0.5% is assumed, so that differences under 2% are not resolved.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from bench.judge.estimate import Estimate, assuming_luck, estimate, ratio_of_ratios
from bench.judge.luck import machine_in, pool_of
from bench.judge.statistics import turns
from bench.judge.verdict import Judgement, judge
from bench.plan.options import margin_option
from bench.screen.tables import STYLES
from reports.commands import Parser, UsageError, check_written, open_console
from reports.history import unlike
from reports.history.bench_pair import answer, changes_in, name_of
from reports.history.compare import write_page
from reports.saved.files import comparison_file, write, write_json
from reports.saved.records import SCHEMA_VERSION, RecordsError, Run, read_run, strict
from reports.tables.draws import warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from bench.judge.statistics import Turns

ALIKE = {
    "machine": ("cpu", "logical_cpus", "usable_cpus", "cgroup_cpus", "memory_bytes", "system"),
    "threads": ("threads",),
    "weights": ("weights_sha256",),
    "accelerator": ("accelerator",),
}
"""What must be equal, by the word that permits a difference (`--despite`)."""

REGRESSION = 1

KEYS = ("model", "workload", "device", "threads", "arm")
"""What a change is of; all but the last are its place."""

Key = tuple[Any, ...]
Changed = tuple[Key, Estimate, Judgement]


def main(argv: Sequence[str]) -> int:
    """Compare two runs; 1 where an arm became slower, 0 where none did."""
    parser = Parser(prog="python -m bench compare", description=__doc__ and __doc__.split("\n")[0])
    parser.add_argument("before", type=Path, metavar="RUN_A", help="a run's folder")
    parser.add_argument("after", type=Path, metavar="RUN_B", help="a run's folder")
    parser.add_argument(
        "--despite", action="append", default=[], choices=[*ALIKE, "versions"],
        help="compare although these differ; may be repeated",
    )  # fmt: skip
    margin_option(parser)
    parser.add_argument(
        "--page", type=Path, metavar="FILE",
        help="the page (default: compare-RUN_A.html in RUN_B, with a .json beside it)",
    )  # fmt: skip
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="write the outcome as JSON; - is standard output"
    )
    options = parser.parse_args(argv)
    check_written(options.page, "--page")
    check_written(options.json, "--json")
    before, after = read_run(options.before), read_run(options.after)
    check_alike(before, after, options.despite)
    changes = compare(before, after, options.margin)
    if not changes:
        raise UsageError(
            "the runs have no workload and arm in common that is VALID in both, beside a baseline"
        )
    found = figures(before, after, changes, options.margin)
    page = _write(before, after, found, options.page)
    if options.json:
        write_json(options.json, found)
    console = open_console()
    console.print(Text(found["answer"], "bold"), found["more"], highlight=False)
    for told in found["unlike"]:
        console.print(f"not measured alike: {told}", style="yellow", highlight=False)
    show(console, changes)
    if page:
        console.print(f"Report: {page}", highlight=False, soft_wrap=True)
    for run in (before, after):
        if told := warning(run):
            console.print(f"{run.folder}: {told}", style="yellow", highlight=False)
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


def figures(before: Run, after: Run, changes: Sequence[Changed], margin: float) -> dict[str, Any]:
    """What `--json` writes, and the page is made of."""
    first, second = ratios(before), ratios(after)
    versus = _baselines(after)
    found = [
        {
            **dict(zip(KEYS, key, strict=True)),
            "versus": versus[key[:-1]],
            "change": change.value,
            "ci_lo": change.low,
            "ci_hi": change.high,
            "processes": change.generations,
            "quads": change.quads,
            **dataclasses.asdict(judgement),
            "a": _side(first[key]),
            "b": _side(second[key]),
        }
        for key, change, judgement in changes
    ]
    said = answer(changes_in({"changes": found}), margin, "")
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": said.verdict,
        "answer": said.sentence,
        "more": said.lead,
        "runs": [name_of(before), name_of(after)],
        "margin": margin,
        "unlike": [*unlike.machines(before, after), *unlike.settings(before, after),
                   *unlike.versions(before, after)],
        "changes": found,
    }  # fmt: skip


def _side(ratio: Estimate) -> dict[str, float | None]:
    return {"ratio": ratio.value, "ci_lo": ratio.low, "ci_hi": ratio.high}


def _write(before: Run, after: Run, found: Mapping[str, Any], named: Path | None) -> Path | None:
    """The page; where the second run's folder cannot be written, a sentence, and exit as ever."""
    try:
        if not named:
            text = json.dumps(strict(found), indent=1, allow_nan=False) + "\n"
            write(comparison_file(before.folder, after.folder, "json"), text)
        return write_page(before, after, named, found)
    except RecordsError as error:
        if named:
            raise
        print(f"bench: no page: {error}; --page FILE puts it elsewhere", file=sys.stderr)
        return None


def compare(before: Run, after: Run, margin: float) -> list[Changed]:
    """For each arm and workload of both runs the change, and what it says.

    Where the runs have other baselines, their ratios are not of one kind, and none is compared.
    """
    first, second = ratios(before), ratios(after)
    versus = _baselines(before), _baselines(after)
    return [
        (key, change, judge(change, margin))
        for key in first
        if key in second and versus[0][key[:-1]] == versus[1][key[:-1]]
        for change in [ratio_of_ratios(second[key], first[key])]
    ]


def ratios(run: Run) -> dict[Key, Estimate]:
    """For each place and arm that is VALID, its ratio to the run's baseline."""
    times, versus = _times(run), _baselines(run)
    machines = {
        (record["model"], record["device"], record["threads"]): machine_in(record)
        for record in run.of("luck")
    }
    found = {}
    for key in _valid(run):
        place, arm = key[:-1], key[-1]
        base = versus.get(place)
        if "#" in arm or base in (None, arm) or key not in times:
            continue
        everyone = [turned for other, turned in times.items() if other[:-1] == place]
        pool = pool_of(everyone, machines.get((place[0], *place[2:])))
        ratio = estimate(times[key], times[(*place, base)], pool)
        if ratio is not None:
            found[key] = assuming_luck(ratio)
    return found


def _place(record: Mapping[str, Any]) -> Key:
    return tuple(record.get(name) for name in KEYS[:-1])


def _valid(run: Run) -> list[Key]:
    return [(*_place(row), row["arm"]) for row in run.of("row") if row["status"] == "VALID"]


def _baselines(run: Run) -> dict[Key, str]:
    """By place, the arm that ratios were taken to."""
    return {_place(effect): effect["versus"] for effect in run.of("effect")}


def _times(run: Run) -> dict[Key, Turns]:
    samples: dict[Key, list[Mapping[str, Any]]] = {}
    for sample in run.of("sample"):
        samples.setdefault((*_place(sample), sample["arm"]), []).append(sample)
    return {key: turns(found, call="fastest") for key, found in samples.items()}


def show(console: Console, changes: Sequence[Changed]) -> None:
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
