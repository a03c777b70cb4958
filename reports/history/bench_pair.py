"""Two benchmarks, A and B, as a page shows them: how each arm's time changed, with its interval.

What is compared is each arm's ratio to the baseline of its own run, because two runs are two
moments of a machine:

    change = (arm / baseline in B) / (arm / baseline in A)

Intervals come from samples: `python -m bench compare` makes them, and leaves them as JSON next to
the page. Of two runs without that file, records alone allow ratios, without an interval.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from reports.figures.several_runs.forest import Ratio, forest
from reports.figures.speed import arms_of, series
from reports.history.verify_answer import Answer
from reports.saved.files import comparison_file
from reports.tables.numbers import brief, counted, figure, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.records import Run

VERDICTS = {
    "SLOWER": "slower", "FASTER": "faster", "SAME": "the same", "INCONCLUSIVE": "undecided",
}  # fmt: skip
"""What a verdict is in a sentence, in the order in which it is said."""

MOST_NAMES = 3
"""Workloads that a sentence names for each verdict; the rest are counted."""

AID = (
    "Left of 1, B takes less time than A. A dot is the arm's time over the baseline's in B, over "
    "the same in A, so that a machine that is slower as a whole moves nothing; its line is the 95% "
    "interval. In the grey band a difference does not matter."
)
AID_RECORDS = (
    "Left of 1, B takes less time than A. A dot is the arm's time over the baseline's in B, over "
    "the same in A. Records alone give no interval: {command} makes it from the samples."
)

KEY = ("model", "workload", "device", "threads", "arm")


@dataclass(frozen=True, slots=True)
class Side:
    """An arm's time over its baseline's in one run, with its 95% interval if it is known."""

    ratio: float | None
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """`0.401 [0.389, 0.412]`."""
        bounds = "" if self.low is None else f" [{brief(self.low)}, {brief(self.high)}]"
        return f"{brief(self.ratio)}{bounds}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchChange:
    """How the time of one arm changed for one workload.

    Attributes:
        name: the workload, with the model, the device and the threads where a run has several.
        arm, versus: the arm, and the baseline that its times are over.
        a, b: its ratio in both runs.
        value: B's over A's.
        low, high: the 95% interval of that; None where it is not known.
        verdict: SLOWER, FASTER, SAME, INCONCLUSIVE; empty where records alone are known.
        next: what would probably settle it; empty where it is settled, or nothing does.
    """

    name: str
    arm: str
    versus: str
    a: Side
    b: Side
    value: float
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    next: str = ""

    @property
    def words(self) -> str:
        """`1.20 [1.15, 1.25]`."""
        return Side(self.value, self.low, self.high).words


def bench_context(one: Run, other: Run, computed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the template `compare_bench.html` shows of two benchmarks.

    Args:
        one: A.
        other: B.
        computed: what `python -m bench compare --json` says of them; None where it has not run.
    """
    changes = changes_in(computed) if computed else changes_of_records(one, other)
    margin = figure(computed.get("margin")) if computed else None
    command = as_called(f"python -m bench compare {one.folder} {other.folder}")
    said = answer(changes, margin, command)
    arms = list(dict.fromkeys([*arms_of(one), *arms_of(other)]))
    rows = [
        Ratio(
            f"{c.name}  {c.arm}", c.value, c.low, c.high, VERDICTS.get(c.verdict, ""),
            series(arms, c.arm),
        )
        for c in changes
    ]  # fmt: skip
    plots = forest(
        rows, margin, name="changes", title="Time of B over time of A",
        aid=AID if computed else AID_RECORDS.format(command=command),
        x_title="B over A (logarithmic); less is faster",
    )  # fmt: skip
    return {"answer": said, "changes": changes, "plots": plots, "judged": computed is not None,
            "command": command}  # fmt: skip


def computed_for(one: Run, other: Run) -> dict[str, Any] | None:
    """What `python -m bench compare` left in B's folder of these two runs; None without it."""
    try:
        found = json.loads(comparison_file(one.folder, other.folder, "json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("runs") == [name_of(one), name_of(other)]
    return found if known and isinstance(found.get("changes"), list) else None


def name_of(run: Run) -> str:
    """The recorded name of a run; its folder's where none is recorded."""
    return str(run.header.get("run_id") or run.folder.name)


def changes_in(computed: Mapping[str, Any]) -> list[BenchChange]:
    """The changes that `--json` of `python -m bench compare` names."""
    found = list(computed["changes"])
    names = _names(found)
    return [
        BenchChange(
            name=name, arm=str(one["arm"]), versus=str(one["versus"]), a=_side(one["a"]),
            b=_side(one["b"]), value=float(one["change"]), low=figure(one["ci_lo"]),
            high=figure(one["ci_hi"]), verdict=str(one["verdict"]), next=_next(one),
        )
        for one, name in zip(found, names, strict=True)
    ]  # fmt: skip


def changes_of_records(one: Run, other: Run) -> list[BenchChange]:
    """The changes that the recorded ratios of both runs come to, without an interval."""
    first, second = (_effects(run) for run in (one, other))
    shared = [key for key in first if key in second]
    names = _names([first[key] for key in shared])
    return [
        BenchChange(
            name=name, arm=str(a["arm"]), versus=str(a["versus"]), a=_side(a), b=_side(b),
            value=b["ratio"] / a["ratio"],
        )
        for name, (a, b) in zip(names, [(first[k], second[k]) for k in shared], strict=True)
    ]  # fmt: skip


def _effects(run: Run) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Ratios of each arm to its baseline; those of an arm to itself are left out."""
    return {
        (*(effect.get(key) for key in KEY), effect.get("versus")): effect
        for effect in run.of("effect")
        if (figure(effect.get("ratio")) or 0) > 0 and "#" not in str(effect.get("arm"))
    }


def _names(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The workload of each, and what else tells them apart."""
    keys = [k for k in ("model", "device", "threads") if len({one.get(k) for one in found}) > 1]
    unit = {"threads": " threads"}
    return [
        " ".join([str(one["workload"]), *(f"{one.get(k)}{unit.get(k, '')}" for k in keys)])
        for one in found
    ]


def _side(values: Mapping[str, Any]) -> Side:
    return Side(*(figure(values.get(key)) for key in ("ratio", "ci_lo", "ci_hi")))


def _next(one: Mapping[str, Any]) -> str:
    parts = [
        counted(int(one[key]), f"more {noun}") if one.get(key) else ""
        for key, noun in (("more_processes", "process"), ("more_quads", "quad"))
    ]
    return str(one.get("why") or "") or " or ".join(filter(None, parts))


def answer(changes: Sequence[BenchChange], margin: float | None, command: str) -> Answer:
    """Both runs in a sentence: what became of the project's own arm, then of the others."""
    if not changes:
        return Answer("EMPTY", "The two runs have no workload and arm in common.")
    own = own_arm(changes)
    mine = [change for change in changes if change.arm == own]
    if not any(change.verdict for change in changes):
        lead = f"These ratios have no interval yet: {command} makes it from the samples."
        return Answer("UNJUDGED", _unjudged(own, mine), lead)
    rest = [change for change in changes if change.arm != own]
    lead = " ".join(filter(None, (_too_few(mine), _others(rest))))
    return Answer(_verdict(changes), _sentence(own, mine, margin), lead)


def _sentence(own: str, mine: Sequence[BenchChange], margin: float | None) -> str:
    if all(change.verdict == "INCONCLUSIVE" for change in mine):
        named = _listed([f"{change.words} for {change.name}" for change in mine])
        return f"Undecided: the time of {own} in B is {named}, over A's."
    parts = [_said(verdict, mine, margin) for verdict in VERDICTS]
    return f"In B, {own} is {'; '.join(filter(None, parts))}."


def _too_few(mine: Sequence[BenchChange]) -> str:
    """Why there is no interval, as it is with one process of each arm; empty where there is one."""
    why = next((change.next for change in mine if change.low is None), "")
    return f"No intervals: {why}." if why else ""


def own_arm(changes: Sequence[BenchChange]) -> str:
    """The arm that is this project's: the candidate, or the first of MAX's, or the first."""
    arms = list(dict.fromkeys(change.arm for change in changes))
    mine = [arm for arm in arms if arm == "candidate" or arm.partition("-")[0] == "max"]
    return (["candidate"] if "candidate" in arms else [*mine, *arms])[0]


def _verdict(changes: Sequence[BenchChange]) -> str:
    found = {change.verdict for change in changes}
    if {"SLOWER", "FASTER"} <= found:
        return "MIXED"
    return next((v for v in ("SLOWER", "FASTER") if v in found), "") or (
        "SAME" if found == {"SAME"} else "INCONCLUSIVE"
    )


def _said(verdict: str, changes: Sequence[BenchChange], margin: float | None) -> str:
    some = sorted(
        (change for change in changes if change.verdict == verdict),
        key=lambda change: -abs(math.log(change.value)),
    )
    if not some:
        return ""
    word = VERDICTS[verdict]
    if verdict == "SAME" and margin:
        return f"{word} within {percent(margin)} for {_listed([c.name for c in some])}"
    times = " times the time" if verdict in ("SLOWER", "FASTER") else ""
    named = [f"{c.name} ({c.words}{times})" for c in some]
    return f"{word} for {_listed(named)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        return f"{len(names)} workloads, most for {names[0]}"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _unjudged(own: str, mine: Sequence[BenchChange]) -> str:
    named = [f"{c.words} times for {c.name}" for c in mine]
    return f"Beside {mine[0].versus}, {own} takes {_listed(named)} as long in B as in A."


def _others(rest: Sequence[BenchChange]) -> str:
    """What became of the other arms, counted."""
    if not rest:
        return ""
    arms = list(dict.fromkeys(change.arm for change in rest))
    counts = {
        word: sum(change.verdict == verdict for change in rest)
        for verdict, word in VERDICTS.items()
    }
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"Of the other arms ({', '.join(arms)}): {said}."
