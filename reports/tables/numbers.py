"""How figures are read from records and written for people."""

from __future__ import annotations

import math
from typing import Any

NONE = "-"
"""What stands where there is no figure."""

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
    """A share in percent; from 10 times on as a multiple."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number) or number < 10:
        return f"{number:.0%}" if math.isfinite(number) else str(number)
    return multiple(number)


def multiple(value: Any) -> str:
    """How many times: `1,234x`, `3e+08x`."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number):
        return f"{number}x"
    if number < 10:
        return f"{number:.2g}x"
    return f"{number:,.0f}x" if number < 1e6 else f"{number:.0e}x"


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


def ratio(value: Any) -> str:
    """Time over time, to three digits after the point."""
    number = figure(value)
    return NONE if number is None else f"{number:.3f}"


def short(value: Any) -> str:
    """Four significant digits, with separators from a thousand on."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number):
        return str(number)
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def seconds(value: Any) -> str:
    """A duration in the unit that suits it."""
    number = figure(value)
    if number is None:
        return NONE
    if not math.isfinite(number):
        return str(number)
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(number) >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number / 1e-9:.3g} ns"


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


def short_tap(tap: Any) -> str:
    """`transformer.h.0.attn.c_proj:input` as `h.0.attn.c_proj ←`."""
    return str(tap or "").removeprefix("transformer.").replace(":input", " ←")
