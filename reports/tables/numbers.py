"""How figures are read from records and written for people.

Terminal, page and Markdown share these functions, so that one figure reads the same everywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = "-"
"""Written where there is no figure."""

DURATIONS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
"""Units of time, the largest first, each with its seconds."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def figure(value: Any) -> float | None:
    """A recorded figure as a float; None where there is none.

    Records hold what is not finite as a string: `"nan"`, `"inf"`, `"-inf"`.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if isinstance(value, float) and math.isnan(value) else number


def scientific(value: Any) -> str:
    """Three digits: `1.23e-07`."""
    number = figure(value)
    return NONE if number is None else f"{number:.2e}"


def percent(value: Any) -> str:
    """A share in percent, `47%`; from 10 times on as a multiple, `50x`."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number) or number < 10:
        return f"{number:.0%}" if math.isfinite(number) else str(number)
    return multiple(number)


def multiple(value: Any) -> str:
    """How many times: `1,234x`, `3e+08x`; `infinite` and `NaN` where it is not a number."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "infinite"
    if number < 10:
        return f"{number:.2g}x"
    return f"{number:,.0f}x" if number < 1e6 else f"{number:.0e}x"


def times_allowed(used: float) -> str:
    """An error over what is allowed, in a sentence: `2e+06x the allowed error`.

    In words where it is not a number: of NaN, and of infinities.
    """
    if math.isnan(used):
        return "NaN or infinite"
    if math.isinf(used):
        return "infinitely many times the allowed error"
    return f"{multiple(used)} the allowed error"


def compact(value: Any) -> str:
    """Two digits and a letter for thousands (k), millions (M), billions (G)."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number):
        return "∞" if number > 0 else str(number)
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return (
                f"{number / size:.2g}{letter}"
                if number < 99.5 * size
                else f"{number / size:.0f}{letter}"
            )
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def brief(value: Any, none: str = NONE) -> str:
    """Three digits, and four just above 0.9, where ratios of times lie: `0.401`, `1.023`.

    Args:
        value: the figure.
        none: written where there is none.
    """
    number = figure(value)
    if number is None:
        return none
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3f}" if 0.9 <= number < 2 else f"{number:.3g}"


def short(value: Any, none: str = NONE) -> str:
    """Four significant digits, with separators from a thousand on; `none` where there is none."""
    number = figure(value)
    if number is None:
        return none
    if not math.isfinite(number):
        return str(number)
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def interval(low: Any, high: Any, show: Callable[[Any], str] = brief) -> str:
    """`0.98 to 1.02`; nothing where a bound is missing."""
    return "" if figure(low) is None or figure(high) is None else f"{show(low)} to {show(high)}"


def duration(value: Any) -> str:
    """Seconds in the unit that suits them: `3.1 ms`, `42 s`, `1.5 min`, `2 h`."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number):
        return str(number)
    for unit, factor in DURATIONS:
        if abs(number) >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number / 1e-9:.3g} ns"


def counted(number: int, noun: str) -> str:
    """`1 process`, `3 processes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def clock(seconds: float) -> str:
    """Elapsed or remaining seconds, as a display counts them: `1:05`; none are negative."""
    minutes, rest = divmod(int(max(0, seconds)), 60)
    return f"{minutes}:{rest:02d}"


def power_of_ten(exponent: int) -> str:
    """`10⁻⁷`; 1 and 10 as they are."""
    if exponent in (0, 1):
        return str(10**exponent)
    return "10" + superscript(exponent)


def superscript(number: int) -> str:
    """A whole number as an exponent is written."""
    return str(number).translate(_SUPERSCRIPTS)


def shape(value: Any) -> str:
    """`[1, 33, 128]` as `1x33x128`."""
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
