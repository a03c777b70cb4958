"""Charts as data: scales, marks in pixels, ticks. The template `chart.html` draws them as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.tables.numbers import power_of_ten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Point = tuple[float, float]

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 44
"""Margins in pixels, for tick labels and axis titles."""

WIDE, HALF = 1040, 508
"""Widths in pixels: a whole page's, and half of one."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a pixel; values beyond the ends are drawn at the ends."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value, to a tenth."""
        low, high, at = (self._inner(v) for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Pixels and labels of round values."""
        if self.log:
            return [(self(10.0**n), power_of_ten(n)) for n in self._decades(most)]
        return [(self(value), f"{value:g}") for value in _round_values(self.low, self.high, most)]

    def _decades(self, most: int) -> range:
        first = math.ceil(math.log10(self.low) - 1e-9)
        last = math.floor(math.log10(self.high) + 1e-9)
        return range(first, last + 1, max(1, math.ceil((last - first + 1) / most)))

    def _inner(self, value: float) -> float:
        if not self.log:
            return value
        return math.log10(value) if value > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class Mark:
    """One SVG element: its tag, attributes, CSS class, and what is shown when it is pointed at."""

    tag: str
    attributes: dict[str, str | float]
    css: str = ""
    tip: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure.

    Attributes:
        name: unique on its page.
        title: what is shown.
        aid: one sentence that says how to read it.
        x_title, y_title: with units.
        x_ticks, y_ticks: pixel and label.
        marks: in the order of drawing.
        legend: CSS class and label.
        bare_x: the ticks of x have no grid lines.
    """

    name: str
    title: str
    aid: str
    width: int
    height: int
    x_title: str
    y_title: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    marks: Sequence[Mark]
    legend: Sequence[tuple[str, str]] = ()
    left: int = LEFT
    bare_x: bool = field(default=True)


def spans(width: int, height: int, left: int = LEFT) -> tuple[tuple[float, float], ...]:
    """First and last pixel of x, and of y (which grows upwards)."""
    return (left, width - RIGHT), (height - BOTTOM, TOP)


def linear(values: Iterable[float], span: tuple[float, float], *, zero: bool = True) -> Scale:
    """A linear scale over the finite values, with 5% of air."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    air = 0.05 * ((high - low) or abs(high) or 1.0)
    low = min(0.0, low) if zero else low - air
    return Scale(low, high + air, *span)


def logarithmic(values: Iterable[float], span: tuple[float, float]) -> Scale:
    """A scale of whole decades over the positive finite values."""
    positive = [value for value in values if value > 0 and math.isfinite(value)] or [0.1, 1.0]
    low = math.floor(math.log10(min(positive)))
    high = max(math.ceil(math.log10(max(positive))), low + 1)
    return Scale(10.0**low, 10.0**high, *span, log=True)


def line(points: Sequence[Point], css: str) -> Mark:
    """A line through points."""
    return Mark("polyline", {"points": _points(points), "fill": "none"}, css)


def area(upper: Sequence[Point], lower: Sequence[Point], css: str) -> Mark:
    """The area between two lines."""
    return Mark("polygon", {"points": _points([*upper, *reversed(lower)])}, css)


def dot(x: float, y: float, css: str, tip: str = "", radius: float = 3.0) -> Mark:
    """A disc."""
    return Mark("circle", {"cx": x, "cy": y, "r": radius}, css, tip)


def diamond(x: float, y: float, css: str, tip: str = "", radius: float = 4.0) -> Mark:
    """A square on its corner: distinguishable from a disc without colour."""
    corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
    return Mark("polygon", {"points": _points(corners)}, css, tip)


def cross(x: float, y: float, css: str, tip: str = "", radius: float = 5.0) -> Mark:
    """An x."""
    path = f"M{x - radius:.1f} {y - radius:.1f}l{2 * radius} {2 * radius}"
    path += f"m0 {-2 * radius}l{-2 * radius} {2 * radius}"
    return Mark("path", {"d": path}, css, tip)


def segment(x1: float, y1: float, x2: float, y2: float, css: str, tip: str = "") -> Mark:
    """A straight line."""
    return Mark("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2}, css, tip)


def rectangle(x1: float, y1: float, x2: float, y2: float, css: str, tip: str = "") -> Mark:
    """A rectangle between two corners."""
    left, top = min(x1, x2), min(y1, y2)
    size = {"width": round(abs(x2 - x1), 1), "height": round(abs(y2 - y1), 1)}
    return Mark("rect", {"x": left, "y": top, **size}, css, tip)


def label(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> Mark:
    """Words."""
    return Mark("text", {"x": x, "y": y, "text-anchor": anchor}, css, text=text)


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _round_values(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / most if high > low else 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((f * power for f in (1, 2, 5, 10) if f * power >= raw), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]
