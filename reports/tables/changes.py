"""What became of each place between two verifications, A and B, of the same model.

A place has changed where its error to the float64 truth is another number. Whether for the better
shows in that error. Each check of A is held against B's with the same kind, place and case.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.tables.numbers import figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.saved.records import Run

ALONE = ("isolated", "math")
"""Kinds of check that judge each place alone: of the compiled program, of the traced graph."""

FREE = ("free", "math-free")
"""Kinds of check that judge a place after all places before it, likewise."""

MODES = ("isolated", "free", "plain", "math", "math-free")
"""Kinds of check that compare arrays of both runs."""

SAME_SIZE = 0.01
"""Errors that differ by less, as a share, are of the same size."""

GRAVITY = ("same", "same size", "better", "worse", "mended", "broken")
"""Verdicts on a change, the gravest last."""

Key = tuple[str, str, str]
Check = dict[str, Any]


class DiffError(ValueError):
    """Two runs that cannot be compared; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Both:
    """One check of both runs.

    Attributes:
        case: its case, with the device where a run has several.
        a, b: the records.
    """

    case: str
    a: Check
    b: Check

    @property
    def changed(self) -> bool:
        """Whether the error is another number, or the verdict another one."""
        return _figures(self.a) != _figures(self.b)

    @property
    def broken(self) -> bool:
        """Whether it fails in B and does not in A."""
        return _fails(self.b) and not _fails(self.a)

    @property
    def mended(self) -> bool:
        """Whether it failed in A and does not in B."""
        return _fails(self.a) and not _fails(self.b)

    @property
    def log2(self) -> float | None:
        """Log2 of B's rms error over A's; None where either is zero or not a number."""
        return log2_ratio(self.a.get("rms"), self.b.get("rms"))

    @property
    def verdict(self) -> str:
        """One of `GRAVITY`."""
        if self.broken or self.mended:
            return "broken" if self.broken else "mended"
        return size_verdict(self.log2) if self.changed else "same"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one place.

    Attributes:
        tap: the place.
        mode: one of `MODES`.
        pairs: its checks in both runs.
    """

    tap: str
    mode: str
    pairs: tuple[Both, ...]

    @property
    def cases(self) -> int:
        """How many cases both runs have."""
        return len(self.pairs)

    @property
    def changed(self) -> int:
        """In how many of them the error is another number."""
        return sum(pair.changed for pair in self.pairs)

    @property
    def ulp(self) -> tuple[float, float]:
        """Largest error over the cases in A and in B, in ulp."""
        return (
            _largest(pair.a for pair in self.pairs),
            _largest(pair.b for pair in self.pairs),
        )

    @property
    def rms_ratio(self) -> float:
        """B's rms error over A's: geometric mean over the changed cases, 1 where there is none."""
        return power(self.log2 or 0.0)

    @property
    def log2(self) -> float | None:
        """Log2 of `rms_ratio`; None where no changed case has an error in both runs."""
        known = [pair.log2 for pair in self.pairs if pair.changed]
        found = [value for value in known if value is not None]
        if not known:
            return 0.0
        return sum(found) / len(found) if found else None

    @property
    def broken(self) -> tuple[str, ...]:
        """Cases that fail in B and did not in A."""
        return tuple(pair.case for pair in self.pairs if pair.broken)

    @property
    def mended(self) -> tuple[str, ...]:
        """Cases that failed in A and do not in B."""
        return tuple(pair.case for pair in self.pairs if pair.mended)

    @property
    def verdict(self) -> str:
        """One of `GRAVITY`; 1% either way is `same size`."""
        if self.broken or self.mended:
            return "broken" if self.broken else "mended"
        return size_verdict(self.log2) if self.changed else "same"


def compare(a: Run, b: Run) -> list[Change]:
    """Every place that both runs judged, in A's order.

    Raises:
        DiffError: where the runs are of other weights, or share no check.
    """
    for name in ("weights_sha256", "model"):
        values = [run.environment.get(name) for run in (a, b)]
        if values[0] != values[1]:
            raise DiffError(f"the runs have different {name.partition('_')[0]}: {values}")
    changes = changes_of(a, b)
    if not changes:
        raise DiffError("the runs have no check in common: other lengths, seeds or regimes?")
    return changes


def changes_of(a: Run, b: Run) -> list[Change]:
    """The same of any two verifications; empty where they share no check."""
    several = any(len({check.get("device") for check in _checks(run)}) > 1 for run in (a, b))
    first, second = (_by_key(run, several=several) for run in (a, b))
    places: dict[tuple[str, str], list[Both]] = defaultdict(list)
    for key, check in first.items():
        if key in second:
            mode, tap, case = key
            places[mode, tap].append(Both(case, check, second[key]))
    return [Change(tap, mode, tuple(pairs)) for (mode, tap), pairs in places.items()]


def by_place(changes: Iterable[Change]) -> dict[str, Change]:
    """Of each place the gravest of its changes, in the order of the changes."""
    found: dict[str, Change] = {}
    for change in changes:
        known = found.get(change.tap)
        if known is None or gravity(change) > gravity(known):
            found[change.tap] = change
    return found


def gravity(change: Change) -> tuple[int, float]:
    """A key to sort by: the verdict, then by how much the error changed."""
    return GRAVITY.index(change.verdict), abs(change.log2) if change.log2 is not None else math.inf


def power(steps: float) -> float:
    """Two to the power of so many steps, within what a float holds."""
    return float(2.0 ** max(-1000.0, min(1000.0, steps)))


def size_verdict(steps: float | None) -> str:
    """`same size`, `better` or `worse`, of a change in steps of log2."""
    ratio = power(steps or 0.0)
    if abs(ratio - 1) < SAME_SIZE:
        return "same size"
    return "better" if ratio < 1 else "worse"


def gravest_first(changes: Iterable[Change]) -> list[Change]:
    """Changes by verdict; a place alone before one after others.

    What broke or was mended stays in the order of execution; the rest is sorted by its size.
    """
    return sorted(changes, key=_order)


def _order(change: Change) -> tuple[int, bool, float]:
    verdict, size = gravity(change)
    marked = change.verdict in ("broken", "mended")
    return -verdict, change.mode not in ALONE, 0.0 if marked else -size


def log2_ratio(one: Any, other: Any) -> float | None:
    """Log2 of a recorded figure over another; None where there is none."""
    values = figure(one), figure(other)
    if not all(value and math.isfinite(value) and value > 0 for value in values):
        return None
    return math.log2(values[1] or 1.0) - math.log2(values[0] or 1.0)


def _checks(run: Run) -> list[Check]:
    return [check for check in run.of("check") if check.get("mode") in MODES]


def _by_key(run: Run, *, several: bool) -> dict[Key, Check]:
    return {
        (check["mode"], check["tap"], _case(check, several=several)): check
        for check in _checks(run)
    }


def _case(check: Mapping[str, Any], *, several: bool) -> str:
    return f"{check['case']} on {check.get('device')}" if several else str(check["case"])


def _figures(check: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(check.get(name) for name in ("rms", "max_abs", "shape", "verdict"))


def _fails(check: Mapping[str, Any]) -> bool:
    return check["verdict"] not in ("PASS", "SKIP")


def _largest(checks: Iterable[Mapping[str, Any]]) -> float:
    found: Sequence[float] = [figure(check.get("ulp")) or 0.0 for check in checks]
    return max(found, default=0.0)
