"""How long each new token took: by its position, and how that is distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import Record, arms_of, legend_of, series
from reports.tables.numbers import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from reports.saved.records import Run

    Steps = npt.NDArray[np.float64]

POSITION_AID = (
    "Line: the median decode step over all timed calls; band: the 10th to the 90th percentile. A "
    "line that climbs shows what a longer context costs; a first step that takes longer, what is "
    "left over from the prompt."
)
DISTRIBUTION_AID = (
    "The share of decode steps that took at most so long, all positions and calls together. A "
    "steep line is a steady arm; a tail to the right is what a listener hears as stutter."
)
HEIGHT = 300
MOST_POINTS = 400
"""Positions drawn of one arm; of more, every n-th is drawn."""
SHARES = np.concatenate([np.linspace(0, 0.99, 100), [0.995, 0.999, 1.0]])


def by_position(run: Run) -> list[Variant]:
    """The time of each decode step by its number, a figure for each generating workload."""
    return _variants(run, _position_figure, "position")


def distribution(run: Run) -> list[Variant]:
    """The distribution of decode steps, likewise."""
    return _variants(run, _distribution_figure, "distribution")


def _variants(run: Run, draw: Callable[..., chart.Chart], name: str) -> list[Variant]:
    groups = _steps(run)
    places = {key[:3] for key in groups}
    return [
        Variant(
            key[3] if len(places) == 1 else f"{key[3]} ({key[0]}, {key[1]}, {key[2]} threads)",
            draw(found, arms_of(run), f"{name}-{number}"),
        )
        for number, (key, found) in enumerate(groups.items())
    ]


def _steps(run: Run) -> dict[tuple[Any, ...], dict[str, Steps]]:
    """By competition and workload, of each arm milliseconds `[calls, steps]`.

    Calls of another length than the arm's first are left out: there are none in one workload.
    """
    groups: dict[tuple[Any, ...], dict[str, list[Sequence[float]]]] = {}
    for sample in run.of("sample"):
        steps, arm = sample.get("steps_ns"), str(sample.get("arm"))
        if isinstance(steps, list) and steps and "#" not in arm:
            place = (sample.get("model"), sample.get("device"), sample.get("threads"))
            arms = groups.setdefault((*place, str(sample.get("workload"))), {})
            calls = arms.setdefault(arm, [])
            if not calls or len(calls[0]) == len(steps):
                calls.append(steps)
    return {
        key: {arm: np.array(calls, np.float64) / 1e6 for arm, calls in arms.items()}
        for key, arms in groups.items()
    }


def _position_figure(found: dict[str, Steps], arms: Sequence[str], name: str) -> chart.Chart:
    x_span, y_span = chart.spans(chart.WIDE, HEIGHT)
    quantiles = {arm: np.quantile(ms, [0.1, 0.5, 0.9], axis=0) for arm, ms in found.items()}
    longest = max(ms.shape[1] for ms in found.values())
    x = chart.linear([1, longest], x_span, zero=False)
    y = _times(np.concatenate([part.ravel() for part in quantiles.values()]), y_span)
    marks: list[chart.Mark] = []
    for arm, (low, middle, high) in quantiles.items():
        at = range(0, len(middle), -(-len(middle) // MOST_POINTS))
        css = series(arms, arm)
        upper, lower = ([(x(n + 1), y(float(part[n]))) for n in at] for part in (high, low))
        marks.append(chart.area(upper, lower, f"{css} haze"))
    for arm, (low, middle, high) in quantiles.items():
        at = range(0, len(middle), -(-len(middle) // MOST_POINTS))
        css = series(arms, arm)
        marks.append(chart.line([(x(n + 1), y(float(middle[n]))) for n in at], f"line {css}"))
        marks += [
            chart.dot(x(n + 1), y(float(middle[n])), css, _tip(arm, n, low, middle, high), 2.4)
            for n in at
        ]
    ticks = [(at, text) for at, text in x.ticks(12) if "." not in text]
    return _chart(name, "Time of each new token", POSITION_AID, marks, found, arms,
                  "new token after the prompt's own", "milliseconds (logarithmic)", ticks,
                  _time_ticks(y))  # fmt: skip


def _tip(arm: str, number: int, low: Steps, middle: Steps, high: Steps) -> str:
    spread = f"{brief(low[number])} to {brief(high[number])}"
    return f"{arm}, new token {number + 1}: {brief(middle[number])} ms (10% to 90%: {spread})"


def _distribution_figure(found: dict[str, Steps], arms: Sequence[str], name: str) -> chart.Chart:
    x_span, y_span = chart.spans(chart.WIDE, HEIGHT)
    quantiles = {arm: np.quantile(ms, SHARES) for arm, ms in found.items()}
    x = _times(np.concatenate(list(quantiles.values())), x_span)
    y = chart.Scale(0.0, 1.0, *y_span)
    marks: list[chart.Mark] = []
    for arm, times in quantiles.items():
        css = series(arms, arm)
        points = [(x(float(t)), y(float(share))) for t, share in zip(times, SHARES, strict=True)]
        marks.append(chart.line(points, f"line {css}"))
        for share in (0.5, 0.9, 0.99):
            value = float(np.quantile(found[arm], share))
            tip = f"{arm}: {share:.0%} of {found[arm].size:,} steps took at most {brief(value)} ms"
            marks.append(chart.dot(x(value), y(share), css, tip, 4))
    return _chart(name, "Distribution of the time of a new token", DISTRIBUTION_AID, marks,
                  found, arms, "milliseconds (logarithmic)", "share of steps", _time_ticks(x),
                  [(y(s), f"{s:.0%}") for s in (0, 0.25, 0.5, 0.75, 0.9, 1)])  # fmt: skip


def _times(values: Steps, span: tuple[float, float]) -> chart.Scale:
    """A logarithmic scale around times."""
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    air = max((high / low) ** 0.05, 1.02)
    return chart.Scale(low / air, high * air, *span, log=True)


def _time_ticks(scale: chart.Scale) -> list[tuple[float, str]]:
    """1, 2 and 5 times a power of ten within the scale."""
    powers = range(int(np.floor(np.log10(scale.low))), int(np.ceil(np.log10(scale.high))) + 1)
    values = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    inside = [value for value in values if scale.low <= value <= scale.high]
    return [(scale(value), f"{value:g}") for value in inside or [scale.low, scale.high]]


def _chart(
    name: str, title: str, aid: str, marks: Sequence[chart.Mark], found: dict[str, Steps],
    arms: Sequence[str], x_title: str, y_title: str,
    x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]],
) -> chart.Chart:  # fmt: skip
    shown: list[Record] = [{"arm": arm} for arm in found]
    return chart.Chart(
        name=name, title=title, aid=aid, width=chart.WIDE, height=HEIGHT, x_title=x_title,
        y_title=y_title, x_ticks=x_ticks, y_ticks=y_ticks, marks=marks,
        legend=legend_of(arms, shown),
    )  # fmt: skip
