"""Heat maps too fine for a table: numbers packed into text, drawn on a canvas by `report.js`."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.tables.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 65534
"""Steps between the ends of a scale; 65535 marks what is not a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A matrix.

    Attributes:
        name: unique on its page.
        title, aid: what is shown, and how to read it.
        rows, columns: what each stands for.
        data: row by row, little-endian uint16 in base64: `STEPS` steps from `low` to `high`.
        low, high: ends of the scale.
        log: whether the steps are of the logarithm.
        unit: what a value is, written after it.
        ticks: share of the scale (0 to 1) and label.
        form: how a value is written: `percent`, or `number`.
        row_borders, column_borders: lines across, from 0 to 1, each with what begins there.
    """

    name: str
    title: str
    aid: str
    rows: Sequence[str]
    columns: Sequence[str]
    data: str
    low: float
    high: float
    log: bool
    unit: str
    ticks: Sequence[tuple[float, str]]
    form: str = "percent"
    row_borders: Sequence[tuple[float, str]] = ()
    column_borders: Sequence[tuple[float, str]] = ()


def log_heat(values: Any, *, low: float, high: float, **texts: Any) -> Heat:
    """Values on a logarithmic scale; those below `low` are drawn as `low`."""
    first, last = math.log10(low), math.log10(high)
    exponents = range(math.ceil(first), math.floor(last) + 1)
    ticks = [((n - first) / (last - first), percent(10.0**n)) for n in exponents]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (np.log10(values.astype(float)) - first) / (last - first)
    return Heat(data=pack(shares), low=low, high=high, log=True, ticks=ticks, **texts)


def pack(shares: Any) -> str:
    """Shares of a scale, from 0 to 1, as text."""
    nothing = np.isnan(shares)
    steps = np.clip(np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0), 0, 1) * STEPS
    packed = np.where(nothing, STEPS + 1, np.rint(steps)).astype("<u2")
    return base64.b64encode(packed.tobytes()).decode("ascii")
