"""A forest plot: ratios with their intervals below each other, on one logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures import chart
from reports.figures.speed import around_one
from reports.tables.numbers import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

PHONE = 356
"""Pixels of the narrow version: a phone's width without the page's margins."""

TICKS = (
    1, 2, 0.5, 10, 0.1, 5, 0.2, 1.5, 0.7, 1.2, 0.8, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 20, 0.05, 50,
    0.02, 100, 0.01,
)  # fmt: skip
"""Ratios that an axis may name, the most telling first."""

ROOM = 34
"""Pixels between the middles of two ticks' words, at least."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One row.

    Attributes:
        name: what is compared.
        value: second over first.
        low, high: of the 95% interval; None where it is not known.
        verdict: a word; empty without one.
        css: the class of its colour.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    verdict: str
    css: str

    @property
    def words(self) -> str:
        """The figure as text: `1.20 [1.15, 1.25] slower`."""
        bounds = "" if self.low is None else f" [{brief(self.low)}, {brief(self.high)}]"
        return f"{brief(self.value)}{bounds} {self.verdict}".rstrip()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a row are, in pixels.

    Attributes:
        left, right: of the space for intervals.
        row: height of a row.
        drop: from the top of a row to its interval.
        above: whether the words stand above the interval and not beside it.
    """

    width: int
    left: int
    right: int
    row: int
    drop: int
    above: bool


WIDE = Layout(chart.WIDE, 260, 250, 26, 13, above=False)
NARROW = Layout(PHONE, 8, 12, 44, 30, above=True)


def forest(rows: Sequence[Ratio], margin: float | None, **texts: str) -> list[chart.Chart]:
    """The plot for a desktop and for a phone; nothing without rows.

    Args:
        rows: in the order in which they are drawn.
        margin: the largest difference that does not matter, as a share, drawn as a band.
        texts: `name`, `title`, `aid` and `x_title` of the chart.
    """
    if not rows:
        return []
    return [_plot(rows, margin, layout, texts) for layout in (WIDE, NARROW)]


def _plot(
    rows: Sequence[Ratio], margin: float | None, layout: Layout, texts: dict[str, str]
) -> chart.Chart:
    bottom = chart.TOP + layout.row * len(rows)
    x = around_one(_values(rows), (layout.left, layout.width - layout.right))
    tops = [chart.TOP + layout.row * index for index in range(len(rows))]
    spans = [(top + layout.drop - 10, top + layout.row) for top in tops]
    marks = _around_one(x, margin, spans if layout.above else [(chart.TOP, bottom)])
    for row, top in zip(rows, tops, strict=True):
        marks += _row(row, x, top, layout)
    name = f"{texts['name']}-narrow" if layout.above else texts["name"]
    return chart.Chart(
        name=name, title=texts["title"], aid=texts["aid"], width=layout.width,
        height=bottom + chart.BOTTOM, x_title=texts["x_title"], y_title="",
        x_ticks=_ticks(x), y_ticks=[], marks=marks, left=layout.left,
    )  # fmt: skip


def _around_one(
    x: chart.Scale, margin: float | None, spans: Sequence[tuple[float, float]]
) -> list[chart.Mark]:
    """The line of no difference, and the band of differences that do not matter, in each span."""
    marks = []
    for top, bottom in spans:
        if margin:
            edges = x(1 / (1 + margin)), x(1 + margin)
            marks.append(chart.rectangle(edges[0], top, edges[1], bottom, "band"))
        marks.append(chart.segment(x(1.0), top, x(1.0), bottom, "one"))
    return marks


def _values(rows: Sequence[Ratio]) -> list[float]:
    values = [value for row in rows for value in (row.value, row.low, row.high)]
    return [value for value in values if value is not None and math.isfinite(value) and value > 0]


def _row(row: Ratio, x: chart.Scale, top: float, layout: Layout) -> list[chart.Mark]:
    middle = top + layout.drop
    tip = f"{row.name}\n{row.words}"
    marks = []
    if row.low is not None and row.high is not None:
        line = chart.segment(x(row.low), middle, x(row.high), middle, f"{row.css} whisker", tip)
        marks.append(line)
    marks.append(chart.dot(x(row.value), middle, row.css, tip, 5))
    if layout.above:
        marks.append(chart.label(layout.left, middle - 14, row.name))
        marks.append(chart.label(layout.width - 4, middle - 14, row.words, "strong", "end"))
    else:
        marks.append(chart.label(layout.left - 10, middle + 4, row.name, anchor="end"))
        at = layout.width - layout.right + 12
        marks.append(chart.label(at, middle + 4, row.words, "strong"))
    return marks


def _ticks(x: chart.Scale) -> list[tuple[float, str]]:
    """Round ratios whose words do not touch: 1, then as few digits as there is room for."""
    inside = [value for value in TICKS if x.low <= value <= x.high]
    kept: list[float] = []
    for value in inside:
        if all(abs(x(value) - x(other)) > ROOM for other in kept):
            kept.append(value)
    return [(x(value), f"{value:g}") for value in sorted(kept)]
