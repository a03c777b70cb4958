"""Quads of each process of a benchmark: strips that lie apart show that a process is one draw."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import Record, arms_of, legend_of, positive, series
from reports.tables.numbers import figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.saved.records import Run

ROW = 16
"""Pixels of a process."""

STRIPS_AID = (
    "Each row is one process, each dot one quad of it: how much longer it took than its arm's "
    "median, after what all arms of that quad had in common (with two arms: the other's time) is "
    "taken away. Rows of one arm are the same code; what their medians (lines, with "
    "95% intervals; dots at the edge lie farther out) differ by is where "
    "code and memory happen to be, which no number of turns changes."
)

Quads = dict[tuple[int, int], float]
"""(generation, quad) -> mean logarithm of an arm's times."""


def strips(run: Run) -> list[Variant]:
    """Quads by process, one figure for each workload; none where each arm had one process."""
    arms = arms_of(run)
    groups: dict[tuple[Any, ...], dict[str, Quads]] = {}
    for place, samples in _by_place(run.of("sample")).items():
        groups[place] = {arm: _logs(own) for arm, own in _by_arm(samples).items()}
    several = len({place[1:] for place in groups}) > 1
    return [
        Variant(
            " ".join(map(str, place if several else place[:1])),
            _figure(quads, arms, f"strips-{number}"),
        )
        for number, (place, quads) in enumerate(groups.items())
        if len(quads) > 1 and len({generation for generation, _ in _common(quads)}) > 1
    ]


def _by_place(samples: Iterable[Record]) -> dict[tuple[Any, ...], list[Record]]:
    found: dict[tuple[Any, ...], list[Record]] = {}
    for sample in samples:
        if positive(sample.get("time_ns")):
            place = tuple(sample.get(key) for key in ("workload", "model", "device", "threads"))
            found.setdefault(place, []).append(sample)
    return found


def _by_arm(samples: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for sample in samples:
        found.setdefault(str(sample.get("arm")), []).append(sample)
    return found


def _logs(samples: Iterable[Record]) -> Quads:
    sums: dict[tuple[int, int], list[float]] = {}
    for sample in samples:
        key = sample.get("generation") or 0, sample.get("quad") or 0
        sums.setdefault(key, []).append(math.log(figure(sample["time_ns"]) or 1.0))
    return {key: sum(logs) / len(logs) for key, logs in sums.items()}


def _common(quads: dict[str, Quads]) -> set[tuple[int, int]]:
    """Quads in which every arm took its turns."""
    return set.intersection(*(set(own) for own in quads.values()))


def _apart(quads: dict[str, Quads]) -> dict[tuple[str, int], list[float]]:
    """Of each arm's process, its quads in percent beside the arm's median.

    Of two arms the second is what the first is compared with: its rows would be the mirror image.
    """
    keys = sorted(_common(quads))
    if len(quads) == 2:
        (arm, own), (_, moments) = quads.items()
        quads = {arm: own}
    else:
        moments = {key: sum(own[key] for own in quads.values()) / len(quads) for key in keys}
    found: dict[tuple[str, int], list[float]] = {}
    for arm, own in quads.items():
        middle = median(own[key] - moments[key] for key in keys)
        for key in keys:
            percent = 100 * (own[key] - moments[key] - middle)
            found.setdefault((arm, key[0]), []).append(percent)
    return found


def _figure(quads: dict[str, Quads], arms: Sequence[str], name: str) -> chart.Chart:
    rows = _apart(quads)
    left = 150
    height = chart.TOP + chart.BOTTOM + ROW * len(rows)
    reach = _reach([value for values in rows.values() for value in values])
    x = chart.Scale(-reach, reach, left, chart.WIDE - chart.RIGHT)
    marks = [chart.segment(x(0.0), chart.TOP, x(0.0), height - chart.BOTTOM, "one")]
    for index, ((arm, generation), values) in enumerate(rows.items()):
        middle, css = chart.TOP + ROW * (index + 0.5), series(arms, arm)
        words = f"{arm}, process {generation + 1}"
        marks.append(chart.label(left - 8, middle + 4, words, anchor="end"))
        marks += [
            chart.dot(x(value), middle, f"{css} faint", f"{words}: {value:+.2f}%", 2.6)
            for value in values
        ]
        at, half = median(values), _half_width(values)
        tip = f"{words}: median {at:+.2f}% [{at - half:+.2f}%, {at + half:+.2f}%]"
        marks.append(chart.segment(x(at - half), middle, x(at + half), middle, "mean", tip))
        marks.append(chart.segment(x(at), middle - 6, x(at), middle + 6, "mean", tip))
    shown = [{"arm": arm} for arm, _ in rows]
    return chart.Chart(
        name=name, title="Quads of each process", aid=STRIPS_AID, width=chart.WIDE, height=height,
        x_title="percent longer than the arm's median", y_title="", x_ticks=x.ticks(10),
        y_ticks=[], marks=marks, left=left, legend=legend_of(arms, shown), bare_x=False,
    )  # fmt: skip


def _half_width(values: Sequence[float]) -> float:
    """Half of the 95% interval of a median, of values that are normal but for a few."""
    middle = median(values)
    deviation = 1.4826 * median(abs(value - middle) for value in values)
    return 1.96 * math.sqrt(math.pi / 2) * deviation / math.sqrt(len(values))


def _reach(values: Sequence[float]) -> float:
    """Half as far again as four of five values; what is farther is drawn at the edge."""
    distances = sorted(abs(value) for value in values)
    return 1.5 * distances[int(0.8 * (len(distances) - 1))] or 1.0
