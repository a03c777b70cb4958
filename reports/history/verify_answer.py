"""What became of a verification between two runs, A and B, in a sentence or two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference.taps import short_name
from reports.tables.changes import ALONE, FREE, by_place
from reports.tables.kinds import MODES
from reports.tables.numbers import counted, multiple, short
from reports.tables.verdicts import severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.saved.records import Run
    from reports.tables.changes import Change

MOST_NAMES = 3
"""Places that a sentence names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What two runs say beside each other.

    Attributes:
        verdict: BROKEN, MENDED, CHANGED or SAME; of benchmarks SLOWER, FASTER, MIXED, SAME or
            INCONCLUSIVE.
        sentence: the answer.
        lead: what else to know, in a sentence or two.
    """

    verdict: str
    sentence: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class KindChange:
    """A kind of check in both runs.

    Attributes:
        mode: as in the records.
        name: what it is called in tables.
        a, b: how many passed, of how many, and the gravest verdict; None where a run has none.
    """

    mode: str
    name: str
    a: tuple[int, int, str] | None
    b: tuple[int, int, str] | None

    @property
    def verdict(self) -> str:
        """`broken`, `mended`, `same`, or `only A`, `only B`."""
        if self.a is None or self.b is None:
            return "only B" if self.a is None else "only A"
        fails = [severity(one[2]) >= severity("UNDERPOWERED") for one in (self.a, self.b)]
        if fails[0] == fails[1]:
            return "same"
        return "broken" if fails[1] else "mended"


def kinds_of_check(a: Run, b: Run) -> list[KindChange]:
    """Every kind of check of either run, in the order in which they were made."""
    first, second = _by_kind(a), _by_kind(b)
    return [
        KindChange(mode, MODES.get(mode, mode), first.get(mode), second.get(mode))
        for mode in dict.fromkeys([*first, *second])
    ]


def _by_kind(run: Run) -> dict[str, tuple[int, int, str]]:
    found: dict[str, list[str]] = {}
    for check in run.of("check"):
        found.setdefault(str(check.get("mode")), []).append(str(check.get("verdict")))
    return {
        mode: (verdicts.count("PASS"), len(verdicts), max(verdicts, key=severity))
        for mode, verdicts in found.items()
    }


def answer(changes: Sequence[Change], kinds: Sequence[KindChange]) -> Answer:
    """The answer, from every place that both runs judged and from their kinds of check."""
    broken, mended = _places(changes, "broken"), _places(changes, "mended")
    others = [kind for kind in kinds if kind.verdict == "broken"]
    if broken or mended:
        parts = [_breaks(broken)] if broken else []
        parts += [_mends(mended)] if mended else []
        verdict = "BROKEN" if broken or others else "MENDED"
        lead = _lead(changes, broken or mended, others)
        return Answer(verdict, f"B {', and '.join(parts)}.", lead)
    if others:
        return Answer("BROKEN", f"No place broke, but B fails {_named(others)}.", _rest(changes))
    if not changes:
        return Answer("CHANGED", "The two runs have no check in common.")
    return _nothing_broke(changes, kinds)


def is_broken(changes: Iterable[Change], kinds: Iterable[KindChange]) -> bool:
    """Whether anything fails in B that did not in A, of what both runs judged."""
    return any(change.broken for change in changes) or any(k.verdict == "broken" for k in kinds)


def _places(changes: Sequence[Change], verdict: str) -> list[Change]:
    """Places that broke, or were mended: alone where there is such a one, else after others."""
    found = [change for change in changes if change.verdict == verdict]
    alone = [change for change in found if change.mode in ALONE]
    return list({change.tap: change for change in reversed(alone or found)}.values())[::-1]


def _breaks(broken: Sequence[Change]) -> str:
    passes = "passes" if len(broken) == 1 else "pass"
    return f"breaks {_names(broken)}, which {passes} in A{_after_others(broken)}"


def _mends(mended: Sequence[Change]) -> str:
    fails = "fails" if len(mended) == 1 else "fail"
    return f"mends {_names(mended)}, which {fails} in A{_after_others(mended)}"


def _after_others(found: Sequence[Change]) -> str:
    return "" if found[0].mode in ALONE else ", though only after other places"


def _names(found: Sequence[Change]) -> str:
    names = [short_name(change.tap) for change in found]
    if len(names) == 1:
        return names[0]
    if len(names) <= MOST_NAMES:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{len(names)} places, {names[0]} first"


def _lead(changes: Sequence[Change], found: Sequence[Change], others: Sequence[KindChange]) -> str:
    also = f"B fails {_named(others)} too." if others and found[0].verdict == "mended" else ""
    parts = (_first(found), _downstream(changes, found), also, _rest(changes))
    return " ".join(filter(None, parts))


def _first(found: Sequence[Change]) -> str:
    """How the first of them broke or was mended."""
    first = found[0]
    name = "it" if len(found) == 1 else short_name(first.tap)
    verb = "fails" if first.verdict == "broken" else "failed"
    cases = first.broken or first.mended
    size = "" if first.log2 is None else f", and B's error is {_times(first.rms_ratio)} as A's"
    how = "Alone" if first.mode in ALONE else "After the places before"
    return f"{how}, {name} {verb} in {len(cases)} of {counted(first.cases, 'case')}{size}."


def _times(ratio: float) -> str:
    if ratio >= 1:
        return f"{multiple(ratio)[:-1]} times as large"
    return f"{short(float(f'{ratio:.2g}'))} times as large"


def _downstream(changes: Sequence[Change], found: Sequence[Change]) -> str:
    known, verdict = {change.tap for change in found}, found[0].verdict
    after = {c.tap for c in changes if c.mode in FREE and c.verdict == verdict} - known
    if not after:
        return ""
    mended = "was mended" if len(after) == 1 else "were mended"
    what = "broke" if verdict == "broken" else mended
    return f"Running free, {counted(len(after), 'further place')} {what} with it."


def _rest(changes: Sequence[Change]) -> str:
    places = by_place(changes)
    same = sum(change.verdict == "same" for change in places.values())
    moved = sum(change.verdict in ("same size", "better", "worse") for change in places.values())
    total = counted(len(places), "place")
    parts = [f"{same} of {total} are the same to the last digit"] if same else []
    parts += [f"{counted(moved, 'place')} changed in size alone"] if moved else []
    return f"{'; '.join(parts)}." if parts else ""


def _named(kinds: Sequence[KindChange]) -> str:
    return " and ".join(f"“{kind.name.removeprefix('… ')}”" for kind in kinds)


def _nothing_broke(changes: Sequence[Change], kinds: Sequence[KindChange]) -> Answer:
    places = list(by_place(changes).values())
    moved = sorted((c for c in places if c.verdict != "same"), key=_by_size)
    mended = [kind for kind in kinds if kind.verdict == "mended"]
    failing = {c.tap: c for c in changes if any(_fails(p.a) and _fails(p.b) for p in c.pairs)}
    fail = "fails" if len(failing) == 1 else "fail"
    lead = f"{counted(len(failing), 'place')} {fail} in both." if failing else ""
    if mended:
        return Answer("MENDED", f"B passes {_named(mended)}, which A fails.", lead)
    if not moved:
        size = counted(len(places), "place")
        return Answer("SAME", f"Nothing changed: the error is the same number at all {size}.", lead)
    return Answer("CHANGED", f"Nothing broke: {_most(moved, len(places))}.", lead)


def _by_size(change: Change) -> float:
    """Sorts the largest change first, whichever way."""
    return -math.inf if change.log2 is None else -abs(change.log2)


def _most(moved: Sequence[Change], total: int) -> str:
    most = moved[0]
    size = f", most at {short_name(most.tap)} ({_times(most.rms_ratio)})" if most.log2 else ""
    return f"B's error differs from A's at {len(moved)} of {counted(total, 'place')}{size}"


def _fails(check: dict[str, object]) -> bool:
    return check.get("verdict") == "FAIL"
