"""The whole of a failing tensor: tokens by features, the borders of rows and heads marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.taps import short_name
from reports.figures.heat import Heat, log_heat, pack
from reports.figures.parity import Variant
from reports.tables.numbers import power_of_ten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.saved.artefacts import Artefacts

DECADES = 4
"""Powers of ten that are told apart, down from the largest."""

MOST_NAMES = 24
"""Heads and sequences that are named at the picture's edge; of more, some."""

NEEDED = {"error", "candidate", "oracle", "allowed", "shape", "cell", "heads"}


def whole(artefacts: Artefacts, divergence: Mapping[str, Any] | None) -> list[Variant]:
    """The tensor of the first divergence: its error, the candidate's values and float64's."""
    tap = str((divergence or {}).get("tap") or "")
    found = {case: artefacts.below(f"{case}/whole/{tap}") for case in artefacts.owners("whole")}
    kept = {case: arrays for case, arrays in found.items() if arrays.keys() >= NEEDED}
    if not tap or not kept:
        return []
    case = max(kept, key=lambda one: int(np.prod(kept[one]["shape"][:2])))
    arrays = kept[case]
    texts = _texts(arrays, f"All of {short_name(tap)}, {case}")
    allowed = float(arrays["allowed"])
    error = arrays["error"].astype(float)
    figures = [("error", _error(error, allowed, texts))]
    peak = max(_peak(arrays[name]) for name in ("candidate", "oracle"))
    figures += [
        (label, _values(arrays[name], peak, name, texts))
        for name, label in (("candidate", "candidate"), ("oracle", "float64"))
    ]
    return [Variant(label, figure) for label, figure in figures if figure]


def _error(error: Any, allowed: float, texts: Mapping[str, Any]) -> Heat | None:
    """Errors over what an element may have; in the tensor's own unit where it may have none."""
    if not allowed:
        return _values(error, _peak(error), "error", texts)
    high = 10.0 ** math.ceil(math.log10(max(_peak(error / allowed), 10.0)))
    return log_heat(
        _or_nan(error / allowed), name="whole-error", low=max(1e-2, high / 10**DECADES), high=high,
        unit="of what an element may have", **texts,
    )  # fmt: skip


def _values(values: Any, peak: float, name: str, texts: Mapping[str, Any]) -> Heat | None:
    """Magnitudes, on a scale that several pictures share."""
    if not peak:
        return None
    high = 10.0 ** math.ceil(math.log10(peak))
    low = high / 10**DECADES
    with np.errstate(divide="ignore"):
        shares = (np.log10(_or_nan(values.astype(float))) - math.log10(low)) / DECADES
    return Heat(
        name=f"whole-{name}", data=pack(shares), low=low, high=high, log=True, form="number",
        ticks=[(0.0, _power(low)), (1.0, _power(high))], unit="", **texts,
    )  # fmt: skip


def _or_nan(values: Any) -> Any:
    """What is infinite as NaN, which has a colour of its own."""
    return np.where(np.isfinite(values), values, np.nan)


def _power(value: float) -> str:
    return power_of_ten(round(math.log10(value)))


def _peak(values: Any) -> float:
    return float(values[np.isfinite(values)].max(initial=0.0))


def _texts(arrays: Mapping[str, Any], title: str) -> dict[str, Any]:
    """What a picture's rows, columns and borders stand for."""
    batch, length, features = (int(n) for n in arrays["shape"])
    tokens, wide = (int(n) for n in arrays["cell"])
    heads = int(arrays["heads"])
    each = features // heads if heads else features
    rows = [
        _span("token", first, tokens, length) + (f" of row {row}" if batch > 1 else "")
        for row in range(batch)
        for first in range(0, length, tokens)
    ]
    columns = [
        _span("feature", first, wide, features) + (f", head {first // each}" if heads else "")
        for first in range(0, features, wide)
    ]
    return {
        "title": title,
        "aid": _aid((batch, length, features), (tokens, wide), heads),
        "rows": rows,
        "columns": columns,
        "row_borders": _borders(batch, "row" if batch > 1 else ""),
        "column_borders": _borders(heads, ""),
    }


def _span(name: str, first: int, count: int, end: int) -> str:
    last = min(first + count, end) - 1
    return f"{name} {first}" if last == first else f"{name}s {first} to {last}"


def _borders(count: int, name: str) -> list[tuple[float, str]]:
    """Where each of several equal parts begins, from 0 to 1, with its number where it is named."""
    every = max(1, -(-count // MOST_NAMES))
    return [
        (round(n / count, 5), f"{name} {n}".strip() if n % every == 0 else "")
        for n in range(count if count > 1 else 0)
    ]


def _aid(shape: tuple[int, int, int], cell: tuple[int, int], heads: int) -> str:
    batch, length, features = shape
    parts = [f"{batch * length:,} tokens (rows) by {features:,} features (columns), each alone."]
    if cell != (1, 1):
        parts.append(
            f"A cell is {cell[0]} x {cell[1]} elements and shows the largest of them, not their "
            "mean, so that no single wrong element is lost."
        )
    if heads:
        parts.append("Vertical lines are the borders of heads, numbered above.")
    if batch > 1:
        parts.append("Horizontal lines are the borders of the batch's rows.")
    parts.append(f"Colours span {DECADES} powers of ten; orange is not a number, or infinite.")
    return " ".join(parts)
