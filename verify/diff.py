"""`python -m verify diff RUN_A RUN_B`: which stages another version of anything has changed.

Both runs must have verified the same weights on the same inputs. A stage has changed where its
error to the float64 truth is not the same number any more; whether for the better shows in that
error, in units in the last place (ulp) of the stage's result. Exit 1 where a place fails in B that
did not in A.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from reference.taps import short_name
from reports.commands import CANNOT_RUN, WIDTH, Parser, open_console
from reports.saved.records import RecordsError, read_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from reports.saved.records import Run

MODES = ("isolated", "free", "plain")
"""Kinds of check that compare arrays of both runs."""

MACHINE = ("cpu", "accelerator")
"""Another one computes other numbers by itself, so that a difference says nothing of the code."""

Key = tuple[str, str, str]


class DiffError(ValueError):
    """Two runs that cannot be compared; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one place.

    Attributes:
        tap: the place.
        mode: `isolated`, `free` or `plain`.
        cases: how many cases were compared, and in how many the error is another number.
        changed: see `cases`.
        ulp: largest error over the cases in A and in B, in ulp.
        rms_ratio: B's rms error over A's, geometric mean over the changed cases.
        broken: cases that fail in B and did not in A.
        mended: cases that failed in A and do not in B.
    """

    tap: str
    mode: str
    cases: int
    changed: int
    ulp: tuple[float, float]
    rms_ratio: float
    broken: tuple[str, ...]
    mended: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`broken`, `mended`, `same`, `better` or `worse`; 1% either way is `same size`."""
        if self.broken or self.mended:
            return "broken" if self.broken else "mended"
        if not self.changed:
            return "same"
        if abs(self.rms_ratio - 1) < 0.01:
            return "same size"
        return "better" if self.rms_ratio < 1 else "worse"


def compare(a: Run, b: Run) -> list[Change]:
    """Every place that both runs judged, in A's order.

    Raises:
        DiffError: where the runs are of other weights, or share no check.
    """
    for name in ("weights_sha256", "model"):
        values = [run.environment.get(name) for run in (a, b)]
        if values[0] != values[1]:
            raise DiffError(f"the runs have different {name.partition('_')[0]}: {values}")
    first, second = _checks(a), _checks(b)
    shared = [key for key in first if key in second]
    if not shared:
        raise DiffError("the runs have no check in common: other lengths, seeds or regimes?")
    places: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in shared:
        places[key[0], key[1]].append(key)
    return [_change(mode, tap, keys, first, second) for (mode, tap), keys in places.items()]


def _checks(run: Run) -> dict[Key, dict[str, Any]]:
    return {
        (check["mode"], check["tap"], check["case"]): check
        for check in run.of("check")
        if check["mode"] in MODES
    }


def _change(
    mode: str,
    tap: str,
    keys: Sequence[Key],
    first: Mapping[Key, Mapping[str, Any]],
    second: Mapping[Key, Mapping[str, Any]],
) -> Change:
    pairs = [(first[key], second[key]) for key in keys]
    differing = [(a, b) for a, b in pairs if _figures(a) != _figures(b)]
    return Change(
        tap=tap,
        mode=mode,
        cases=len(pairs),
        changed=len(differing),
        ulp=(_largest(a for a, _ in pairs), _largest(b for _, b in pairs)),
        rms_ratio=_mean_ratio(differing),
        broken=tuple(b["case"] for a, b in pairs if _fails(b) and not _fails(a)),
        mended=tuple(b["case"] for a, b in pairs if _fails(a) and not _fails(b)),
    )


def _figures(check: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(check[name] for name in ("rms", "max_abs", "shape", "verdict"))


def _fails(check: Mapping[str, Any]) -> bool:
    return bool(check["verdict"] != "PASS")


def _largest(checks: Any) -> float:
    return max((check["ulp"] or 0.0 for check in checks), default=0.0)


def _mean_ratio(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> float:
    """Geometric mean of B's rms error over A's, where both have one; 1 where none has."""
    ratios = [b["rms"] / a["rms"] for a, b in pairs if a["rms"] and b["rms"]]
    product = 1.0
    for ratio in ratios:
        product *= ratio ** (1 / len(ratios))
    return product


def main(argv: Sequence[str]) -> int:
    """Run the command; returns 0, 1 where a place is broken, 2 where nothing can be compared."""
    parser = Parser(
        prog="python -m verify diff", description="Which stages differ between two runs?"
    )
    parser.add_argument("a", type=Path, help="folder of the earlier run")
    parser.add_argument("b", type=Path, help="folder of the later run")
    parser.add_argument("--all", action="store_true", help="show places that are the same too")
    options = parser.parse_args(argv)
    try:
        runs = read_run(options.a), read_run(options.b)
        changes = compare(*runs)
    except (DiffError, RecordsError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return CANNOT_RUN
    console = open_console(highlight=False)
    show(console, changes, *runs, everything=options.all)
    return 1 if any(change.broken for change in changes) else 0


def show(
    console: Console, changes: Sequence[Change], a: Run, b: Run, *, everything: bool = False
) -> None:
    """Print what the runs were made on where it differs, and a table of places that changed."""
    for name in MACHINE:
        machines = [run.environment.get(name) for run in (a, b)]
        if machines[0] != machines[1]:
            console.print(f"unlike machines: {name}: {machines[0]} -> {machines[1]}")
    for name in ("modular", "max", "torch", "transformers"):
        versions = [run.environment.get("versions", {}).get(name) for run in (a, b)]
        if versions[0] != versions[1]:
            console.print(f"{name}: {versions[0]} -> {versions[1]}")
    shown = [change for change in changes if everything or change.verdict != "same"]
    if shown:
        console.print(_table(shown))
    counts: dict[str, int] = defaultdict(int)
    for change in changes:
        counts[change.verdict] += 1
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    console.print(f"{len(changes)} places compared: {said}")


def _table(changes: Sequence[Change]) -> Table:
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    for name in ("place", "how", "changed in", "ulp A", "ulp B", "rms B/A", ""):
        table.add_column(name, justify="left" if name in ("place", "how", "") else "right")
    styles = {"broken": "bold red", "worse": "yellow", "better": "green", "mended": "green"}
    for change in changes:
        table.add_row(
            short_name(change.tap),
            change.mode,
            f"{change.changed}/{change.cases}",
            f"{change.ulp[0]:.3g}",
            f"{change.ulp[1]:.3g}",
            f"{change.rms_ratio:.3f}",
            Text(change.verdict, styles.get(change.verdict, "")),
        )
    return table
