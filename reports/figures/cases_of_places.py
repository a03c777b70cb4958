"""Every case of a place, not the worst alone: the share of the allowed error in each."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.taps import short_name
from reports.tables.frames import place_modes
from reports.tables.numbers import figure, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

LOW = 1e-4
"""The smallest share that is told from none."""

ABSENT, NO_NUMBER = 0, 65535
"""What stands for a case that a place was not judged in, and for what is not a number."""


@dataclass(frozen=True, slots=True)
class CaseBar:
    """One case of a place: its shares as text, and how long its bar is, from 0 to 1."""

    case: str
    alone: str
    free: str
    length: float
    wrong: bool


@dataclass(frozen=True, slots=True)
class CasesOfPlaces:
    """The shares of all places and cases, and the place that is shown first.

    Attributes:
        places, cases: names.
        data: alone, then running free, place by place, case by case: little-endian uint16 in
            base64; 1 to 65534 are the logarithm of the share, from `low` to `high`.
        low, high: ends of that scale.
        chosen: the place that is shown first.
        bars: its cases, the largest share first.
    """

    places: list[str]
    cases: list[str]
    data: str
    low: float
    high: float
    chosen: int
    bars: list[CaseBar]


def cases_of_places(
    checks: pd.DataFrame, taps: Sequence[str], first: str | None
) -> CasesOfPlaces | None:
    """What each case of each place comes to.

    Args:
        checks: as `reports.tables.frames.checks_frame` returns them.
        taps: the places, in the order of execution.
        first: the tap that is shown first; None for that with the largest share.

    Returns:
        None where no place was judged in two cases or more.
    """
    modes = place_modes(checks)
    some = checks[checks["mode"].isin(modes) & checks["tap"].isin(list(taps))]
    cases = list(dict.fromkeys(some["case"]))
    if len(cases) < 2:
        return None
    shares = _shares(some, modes, list(taps), cases)
    worst = [_gravest(row) for row in shares[0]]
    chosen = taps.index(first) if first in taps else worst.index(max(worst))
    high = float(shares[np.isfinite(shares)].max(initial=1.0))
    return CasesOfPlaces(
        places=[short_name(tap) for tap in taps],
        cases=[str(case) for case in cases],
        data=_packed(shares, high),
        low=LOW,
        high=high,
        chosen=chosen,
        bars=_bars(cases, shares[0][chosen], shares[1][chosen]),
    )


def _shares(some: pd.DataFrame, modes: tuple[str, str], taps: list[str], cases: list[Any]) -> Any:
    """Shares by mode, place and case: NaN where a place was not judged, infinite for no number."""
    shares = np.full((len(modes), len(taps), len(cases)), np.nan)
    at = [{name: n for n, name in enumerate(names)} for names in (modes, taps, cases)]
    columns = (some[name] for name in ("mode", "tap", "case", "used", "verdict"))
    for mode, tap, case, used, verdict in zip(*columns, strict=True):
        number = figure(used)
        if number is None and verdict in ("PASS", "SKIP"):
            continue
        where = at[0][mode], at[1][tap], at[2][case]
        value = math.inf if number is None or not math.isfinite(number) else number
        shares[where] = np.fmax(shares[where], value)
    return shares


def _gravest(shares: Any) -> float:
    known = shares[~np.isnan(shares)]
    return float(known.max(initial=0.0))


def _packed(shares: Any, high: float) -> str:
    """The shares as numbers from 1 to 65534, the logarithm between the ends of the scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = (np.log(shares) - math.log(LOW)) / (math.log(high) - math.log(LOW))
        numbers = 1 + np.rint(np.clip(np.nan_to_num(steps, neginf=0.0), 0, 1) * 65533)
    numbers = np.where(np.isnan(shares), ABSENT, np.where(np.isinf(shares), NO_NUMBER, numbers))
    return base64.b64encode(numbers.astype("<u2").tobytes()).decode("ascii")


def _bars(cases: Sequence[Any], alone: Any, free: Any) -> list[CaseBar]:
    """A place's cases, the largest share first."""
    order = sorted(range(len(cases)), key=lambda n: -np.nan_to_num(alone[n], nan=-1.0))
    return [
        CaseBar(
            case=str(cases[n]),
            alone=_text(alone[n]),
            free=_text(free[n]),
            length=round(float(min(1.0, alone[n])), 3),
            wrong=bool(alone[n] > 1),
        )
        for n in order
        if not np.isnan(alone[n])
    ]


def _text(share: float) -> str:
    if math.isnan(share):
        return ""
    return percent(share) if math.isfinite(share) else "no number"
