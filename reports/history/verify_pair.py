"""Two verifications, A and B, as a page shows them: the answer, three maps, and every case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.figures.model_map import Cell, cells_of
from reports.figures.several_runs.difference_map import ThreeMaps, three_maps
from reports.history.verify_answer import KindChange, answer, kinds_of_check
from reports.tables.changes import GRAVITY, changes_of, gravest_first
from reports.tables.frames import checks_frame, computing_taps, layers_frame
from reports.tables.numbers import counted, percent, scientific

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from reports.saved.records import Run
    from reports.tables.changes import Both, Change

COMPILED, TRACED = ("isolated", "free"), ("math", "math-free")
"""What maps can show: the compiled program, or its traced graph in float64."""

HOW = {
    "isolated": "alone", "free": "running free", "plain": "graph that ships",
    "math": "alone, in float64", "math-free": "whole, in float64",
}  # fmt: skip
"""What the kinds of comparison are called in the tables of this page."""

MOST_CASES = 600
"""Cases that the page lists: the gravest first. `python -m verify diff --json` has every place."""


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """What became of one place: cases changed, the largest errors, and log2 of B's over A's."""

    place: str
    how: str
    verdict: str
    changed: str
    ulp: tuple[float, float]
    steps: float | None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One check of both runs."""

    place: str
    how: str
    case: str
    rms: tuple[str, str]
    used: tuple[str, str]
    verdicts: tuple[str, str]
    steps: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class CaseCount:
    """What became of all places of one case."""

    case: str
    places: int
    counts: dict[str, int]
    worst: str


def verify_context(one: Run, other: Run) -> dict[str, Any]:
    """What the template `compare_verify.html` shows of two verifications."""
    changes = changes_of(one, other)
    kinds = kinds_of_check(one, other)
    modes, note = _modes(one, other)
    cases, by_case = _case_rows(changes), _by_case(changes)
    return {
        "answer": answer(changes, kinds),
        "maps": _maps(one, other, changes, modes),
        "maps_note": " ".join(filter(None, (note, _other_cases(one, other, modes)))),
        "places": _place_rows(changes),
        "still": len([c for c in changes if c.verdict == "same"]),
        "cases": cases[:MOST_CASES],
        "case_count": len(cases),
        "by_case": by_case,
        "verdicts": _shown(by_case),
        "kinds": [kind for kind in kinds if kind.verdict != "same"],
        "same_kinds": [kind for kind in kinds if kind.verdict == "same"],
    }


def _shown(by_case: Sequence[CaseCount]) -> list[str]:
    """Verdicts that any case has, the gravest first."""
    return [name for name in reversed(GRAVITY) if any(case.counts[name] for case in by_case)]


def _modes(one: Run, other: Run) -> tuple[tuple[str, str], str]:
    """Which checks both maps can show, and what they are then."""
    found = [{check.get("mode") for check in run.of("check")} for run in (one, other)]
    if all(COMPILED[0] in modes for modes in found):
        return COMPILED, "Each place alone, in the compiled program."
    missing = [name for name, modes in zip("AB", found, strict=True) if COMPILED[0] not in modes]
    who = " and ".join(missing)
    was = "was" if len(missing) == 1 else "were"
    return TRACED, f"Each place alone, in the traced graph in float64: {who} {was} not compiled."


def _maps(
    one: Run, other: Run, changes: Sequence[Change], modes: tuple[str, str]
) -> ThreeMaps | None:
    shared = set.intersection(*(_cases(run, modes) for run in (one, other)))
    frames = [_checks(run, modes, shared) for run in (one, other)]
    computed = {tap for frame in frames for tap in computing_taps(frame)}
    computed |= {c.tap for c in changes if c.mode == modes[0] and (c.broken or c.mended)}
    cells = [_cells(run, frame, computed) for run, frame in zip((one, other), frames, strict=True)]
    alone, free = ({c.tap: c for c in changes if c.mode == mode} for mode in modes)
    return three_maps(cells[0], cells[1], alone, free) if any(cells) else None


def _cases(run: Run, modes: tuple[str, str]) -> set[str]:
    return {str(check.get("case")) for check in run.of("check") if check.get("mode") in modes}


def _other_cases(one: Run, other: Run, modes: tuple[str, str]) -> str:
    """A sentence where the runs had other cases; maps then show what both had."""
    first, second = (_cases(run, modes) for run in (one, other))
    left = [
        f"{counted(len(own), 'case')} of {name}"
        for name, own in (("A", first - second), ("B", second - first))
        if own
    ]
    if not left or not first & second:
        return ""
    both = counted(len(first & second), "case")
    return f"The maps are of the {both} that both runs have, without {' and '.join(left)}."


def _checks(run: Run, modes: tuple[str, str], cases: set[str]) -> pd.DataFrame:
    """The checks that a map shows: of the cases that both runs have, or of all without any."""
    checks = checks_frame(run)
    some = checks[checks["mode"].isin(modes)]
    return some[some["case"].isin(cases)] if cases else some


def _cells(run: Run, checks: pd.DataFrame, computed: Iterable[str]) -> list[Cell]:
    end = run.end or {}
    first = (end.get("first_divergence") or {}).get("tap")
    layers = layers_frame(checks, end.get("order") or ())
    return cells_of(layers, computed, str(first) if first else None)


def _place_rows(changes: Iterable[Change]) -> list[PlaceRow]:
    """Places that changed, the gravest first."""
    moved = gravest_first(change for change in changes if change.verdict != "same")
    return [
        PlaceRow(
            short_name(change.tap), HOW.get(change.mode, change.mode), change.verdict,
            f"{change.changed}/{change.cases}", change.ulp, change.log2,
        )
        for change in moved
    ]  # fmt: skip


def _case_rows(changes: Iterable[Change]) -> list[CaseRow]:
    """Every check that changed, the gravest first."""
    rows = [_case_row(change, pair) for change in changes for pair in change.pairs if pair.changed]
    return sorted(rows, key=_case_gravity, reverse=True)


def _case_gravity(row: CaseRow) -> tuple[int, float]:
    return GRAVITY.index(row.verdict), math.inf if row.steps is None else abs(row.steps)


def _case_row(change: Change, pair: Both) -> CaseRow:
    return CaseRow(
        place=short_name(change.tap),
        how=HOW.get(change.mode, change.mode),
        case=pair.case,
        rms=(scientific(pair.a.get("rms")), scientific(pair.b.get("rms"))),
        used=(percent(pair.a.get("used")), percent(pair.b.get("used"))),
        verdicts=(str(pair.a["verdict"]), str(pair.b["verdict"])),
        steps=pair.log2,
        verdict=pair.verdict,
    )


def _by_case(changes: Sequence[Change]) -> list[CaseCount]:
    """Each case in a line: of its places the gravest change of each."""
    found: dict[str, dict[str, tuple[tuple[int, float], str]]] = {}
    for change in changes:
        for pair in change.pairs:
            places = found.setdefault(pair.case, {})
            steps = pair.log2
            grave = GRAVITY.index(pair.verdict), math.inf if steps is None else abs(steps)
            if change.tap not in places or grave > places[change.tap][0]:
                places[change.tap] = grave, pair.verdict
    return [_count(case, places) for case, places in found.items()]


def _count(case: str, places: dict[str, tuple[tuple[int, float], str]]) -> CaseCount:
    verdicts = [verdict for _, verdict in places.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in reversed(GRAVITY)}
    worst = max(places, key=lambda tap: places[tap][0])
    moved = places[worst][1] != "same"
    return CaseCount(case, len(places), counts, short_name(worst) if moved else "")


def verify_figures(one: Run, other: Run) -> dict[str, Any]:
    """What `--json` says of two verifications."""
    changes = changes_of(one, other)
    kinds = kinds_of_check(one, other)
    said = answer(changes, kinds)
    return {
        "verdict": said.verdict,
        "answer": said.sentence,
        "more": said.lead,
        "places": [_place_figures(change) for change in changes],
        "kinds": [_kind_figures(kind) for kind in kinds],
    }


def _place_figures(change: Change) -> dict[str, Any]:
    return {
        "tap": change.tap,
        "mode": change.mode,
        "verdict": change.verdict,
        "cases": change.cases,
        "changed": change.changed,
        "ulp_a": change.ulp[0],
        "ulp_b": change.ulp[1],
        "rms_log2": change.log2,
        "broken": list(change.broken),
        "mended": list(change.mended),
    }


def _kind_figures(kind: KindChange) -> dict[str, Any]:
    both = {"a": kind.a, "b": kind.b}
    sides = {
        name: None if side is None else {"passed": side[0], "of": side[1], "verdict": side[2]}
        for name, side in both.items()
    }
    return {"mode": kind.mode, "verdict": kind.verdict, **sides}
