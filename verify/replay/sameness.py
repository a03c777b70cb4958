"""Whether two runs on the same inputs found the same.

What a compiled program computes is the same to the bit, run after run, on one machine with one
version of everything. What NumPy computes in float64 is not: its sums depend on where in memory an
array begins. There an error is the same where it differs by less than what the run itself allowed
for rounding (`envelope_max`, `envelope_rms`), and the verdict is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reports.saved.records import Run

FLOAT64 = "math"
"""Begins the modes of checks that NumPy computed in float64."""

EXACT = ("verdict", "shape", "dtype")
ERRORS = {"max_abs": "envelope_max", "rms": "envelope_rms"}
"""Figures of a check, by what it allows for the rounding of each."""

SHOWN = (*EXACT, *ERRORS, "used", "bits")
RELATIVE = 1e-9
"""Two float64 figures that are no closer differ by more than the order of a sum."""

ENDS = ("verdict", "compiled", "coverage", "order")
"""What of a run's end must be equal."""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sameness:
    """What comparing two runs came to.

    Attributes:
        checks: how many both runs have.
        bits: of those, how many are the same to the bit.
        unlike: a sentence for each thing that differs.
    """

    checks: int
    bits: int
    unlike: list[str]


def compared(before: Run, after: Run) -> Sameness:
    """Compare verdicts and figures, check by check."""
    first, second = _checks(before), _checks(after)
    shared = [key for key in first if key in second]
    unlike = [*_ends(before, after)]
    unlike += [f"{_where(first[key])} was checked, and is not now" for key in first
               if key not in second]  # fmt: skip
    unlike += [f"{_where(second[key])} is checked, and was not" for key in second
               if key not in first]  # fmt: skip
    unlike += [told for key in shared if (told := _unlike(first[key], second[key]))]
    bits = sum(_figures(first[key]) == _figures(second[key]) for key in shared)
    return Sameness(len(shared), bits, unlike)


def _ends(before: Run, after: Run) -> Iterator[str]:
    then, now = before.end or {}, after.end or {}
    for name in ENDS:
        if then.get(name) != now.get(name):
            values = f": {now.get(name)}, and was {then.get(name)}" if name == "verdict" else ""
            yield f"the run's {name} differs{values}"
    places = [(one.get("first_divergence") or {}).get("tap") for one in (then, now)]
    if places[0] != places[1]:
        yield f"the first divergence is {places[1] or 'nowhere'}, and was {places[0] or 'nowhere'}"


def _checks(run: Run) -> dict[Key, dict[str, Any]]:
    names = ("mode", "case", "tap", "regime", "device")
    found: dict[Key, dict[str, Any]] = {}
    seen: Counter[Key] = Counter()
    for check in run.of("check"):
        key: Key = tuple(check.get(name) for name in names)
        found[*key, seen[key]] = check
        seen[key] += 1
    return found


def _figures(check: Mapping[str, Any]) -> list[Any]:
    return [check.get(name) for name in SHOWN]


def _unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between two checks, in a sentence; nothing where they are the same."""
    of_float64 = str(before.get("mode")).startswith(FLOAT64)
    for name in EXACT if of_float64 else SHOWN:
        if before.get(name) != after.get(name):
            return f"{_where(before)}: {name} is {after.get(name)}, and was {before.get(name)}"
    for name, allowed in ERRORS.items() if of_float64 else ():
        if not _close(before.get(name), after.get(name), before.get(allowed)):
            return f"{_where(before)}: {name} is {after.get(name)}, and was {before.get(name)}"
    return ""


def _close(first: Any, second: Any, allowed: Any) -> bool:
    if not all(isinstance(one, int | float) for one in (first, second)):
        return bool(first == second)
    within = allowed if isinstance(allowed, int | float) else 0.0
    return bool(abs(first - second) <= max(within, RELATIVE * abs(first)))


def _where(check: Mapping[str, Any]) -> str:
    named = (check.get("mode"), check.get("case"), check.get("tap"))
    return " ".join(str(part) for part in named if part)
