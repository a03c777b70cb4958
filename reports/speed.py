"""Figures of a benchmark: ratios, roofline, the course of the samples, memory, layers, scaling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports import chart
from reports.numbers import figure, ratio, scientific, seconds, short, short_tap
from reports.parity import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.records import Run

Record = dict[str, Any]

SERIES = 6
"""Colours for arms; a seventh arm has the first again."""

OUTLIER = 5.0
"""Samples are drawn on a logarithmic scale if one takes more than so many times the median."""

MOST_SAMPLES = 1500
"""Samples drawn of one workload; of more, every n-th is drawn and the figure says so."""

RATIO_AID = (
    "Left of 1 the arm takes less time than the one it is compared with. The line is the 95% "
    "interval; the grey band is what the same arm against itself came to in this run, so that a "
    "dot inside it means nothing."
)
ROOFLINE_AID = (
    "No arm can lie above the roof, which was measured in this run: on the left memory is the "
    "limit, on the right arithmetic. The closer to the roof, the less is left to gain."
)
SAMPLES_AID = (
    "Every timed call, in the order in which it was made; arms take turns. Hollow marks belong to "
    "blocks that something else on the machine disturbed."
)
SCALING_AID = (
    "Dots were measured, lines are the fitted cost: a fixed overhead, a cost of each pass, and the "
    "arithmetic and memory traffic at fitted rates."
)
LAYERS_AID = (
    "Bars are the median time of each place alone; beside them its error to float64 and the "
    "largest error that passes. What is fast because it computes less shows here."
)
MEMORY_AID = "The most memory that the process held in each phase (resident, with its libraries)."


AXES = (("n_prompt", "length of the prompt"), ("batch", "batch"), ("n_depth", "depth"))
"""What cost is drawn against: a row's key, and its name."""


def arms_of(run: Run) -> list[str]:
    """The arms in the order of their appearance; their index is their colour."""
    records = [r for kind in ("row", "layer", "sample", "memory") for r in run.of(kind)]
    return list(dict.fromkeys(str(r["arm"]) for r in records if r.get("arm")))


def series(arms: Sequence[str], arm: Any) -> str:
    """The CSS class of an arm's colour."""
    return f"series-{arms.index(str(arm)) % SERIES}" if str(arm) in arms else "series-4"


def ratios(run: Run) -> chart.Chart | None:
    """Time of each arm over another's, by workload, with the null's band."""
    effects = [e for e in run.of("effect") if _positive(e.get("ratio"))]
    if not effects:
        return None
    arms = arms_of(run)
    left, right, row = 250, 190, 26
    height = chart.TOP + chart.BOTTOM + row * len(effects)
    x_span = (left, chart.WIDE - right)
    values = [figure(e.get(k)) for e in effects for k in ("ratio", "ci_lo", "ci_hi")]
    bands = [_null_band(run, effect) for effect in effects]
    edges = [edge for band in bands if band for edge in band]
    known = [value for value in [*values, *edges] if value and math.isfinite(value)]
    x = _around_one(known, x_span)
    marks = []
    for index, (effect, band) in enumerate(zip(effects, bands, strict=True)):
        middle = chart.TOP + row * (index + 0.5)
        marks += _ratio_row(effect, band, x, middle, series(arms, effect.get("arm")))
    marks.append(chart.segment(x(1.0), chart.TOP, x(1.0), height - chart.BOTTOM, "one"))
    return chart.Chart(
        name="ratios", title="Time of one arm over another's", aid=RATIO_AID, width=chart.WIDE,
        height=height, x_title="time over time (logarithmic); less is faster", y_title="",
        x_ticks=_ratio_ticks(x), y_ticks=[], marks=marks, left=left,
        legend=[("band", "the same arm against itself"), *_legend(arms, effects)],
    )  # fmt: skip


def _ratio_row(
    effect: Record, band: tuple[float, float] | None, x: chart.Scale, middle: float, css: str
) -> list[chart.Mark]:
    value, low, high = (figure(effect.get(key)) for key in ("ratio", "ci_lo", "ci_hi"))
    pair = f"{effect.get('arm')} / {effect.get('versus')}"
    tip = f"{effect.get('workload')}, {pair}\n{ratio(value)} (95%: {ratio(low)} to {ratio(high)})"
    marks = []
    if band:
        marks.append(chart.rectangle(x(band[0]), middle - 11, x(band[1]), middle + 11, "band"))
    if low and high:
        marks.append(chart.segment(x(low), middle, x(high), middle, f"{css} whisker", tip))
    marks.append(chart.dot(x(value or 1.0), middle, css, tip, 5))
    place = " ".join(filter(None, (_workload(effect), _not_cpu(effect))))
    marks.append(chart.label(240, middle + 4, f"{place}:  {pair}", anchor="end"))
    words = f"{ratio(value)}  {effect.get('verdict') or ''}"
    marks.append(chart.label(chart.WIDE - 176, middle + 4, words, "strong"))
    return marks


def _workload(record: Record) -> str:
    return str(record.get("workload") or "all")


def _not_cpu(record: Record) -> str:
    return "" if record.get("device") in (None, "cpu") else f"({record['device']})"


def _null_band(run: Run, effect: Record) -> tuple[float, float] | None:
    """What counts as the same: the effect's margin, else its workload's null interval."""
    margin = figure(effect.get("margin"))
    if margin and math.isfinite(margin) and margin > 1:
        return 1 / margin, margin
    place = ("workload", "device", "dtype")
    for null in run.of("null"):
        if all(null.get(key) == effect.get(key) for key in place):
            low, high = figure(null.get("ci_lo")), figure(null.get("ci_hi"))
            if low and high and math.isfinite(high):
                return low, high
    return None


def _around_one(values: Sequence[float], span: tuple[float, float]) -> chart.Scale:
    """A logarithmic scale with 1 inside, and air at its ends."""
    low, high = min([*values, 1 / 1.1]), max([*values, 1.1])
    air = (high / low) ** 0.06
    return chart.Scale(low / air, high * air, *span, log=True)


def _ratio_ticks(x: chart.Scale) -> list[tuple[float, str]]:
    round_ones = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100)
    inside = [value for value in round_ones if x.low <= value <= x.high]
    return [(x(value), f"{value:g}") for value in inside]


def _legend(arms: Sequence[str], records: Iterable[Record]) -> list[tuple[str, str]]:
    shown = {str(record.get("arm")) for record in records}
    return [(series(arms, arm), arm) for arm in arms if arm in shown]


def rooflines(run: Run) -> list[Variant]:
    """One roofline for each device and dtype that has ceilings and rows."""
    arms = arms_of(run)
    rows = [
        row
        for row in run.of("row")
        if all(_positive(row.get(key)) for key in ("flops", "bytes", "median_s"))
    ]
    places = dict.fromkeys((r.get("device"), r.get("dtype")) for r in rows)
    variants = []
    for number, place in enumerate(places):
        some = [row for row in rows if (row.get("device"), row.get("dtype")) == place]
        found = _roofline(run, some, arms, place, f"roofline-{number}")
        if found:
            variants.append(Variant(" ".join(str(part) for part in place if part), found))
    return variants


def _roofline(
    run: Run, rows: Sequence[Record], arms: Sequence[str], place: tuple[Any, Any], name: str
) -> chart.Chart | None:
    gemm, read = (_ceiling(run, kind, place) for kind in ("gemm", "read"))
    if not gemm or not read:
        return None
    spots = [(r, r["flops"] / r["bytes"], r["flops"] / r["median_s"] / 1e9) for r in rows]
    ridge = gemm / read
    x_span, y_span = chart.spans(chart.WIDE, 360)
    x = chart.logarithmic([ridge, *(spot[1] for spot in spots)], x_span)
    y = chart.logarithmic([gemm, *(spot[2] for spot in spots)], y_span)
    roof = [(x(v), y(min(gemm, read * v))) for v in (max(x.low, y.low / read), ridge, x.high)]
    marks = [chart.area(roof, [(px, y(y.low)) for px, _ in roof], "stripe")]
    marks.append(chart.line(roof, "line rule"))
    marks.append(chart.label(x(x.high) - 4, y(gemm) - 6, f"GEMM {short(gemm)} GFLOP/s", "", "end"))
    marks.append(chart.label(roof[0][0] + 10, roof[0][1] + 16, f"read {short(read)} GB/s"))
    for row, intensity, rate in spots:
        tip = f"{row['workload']}, {row['arm']}\n{short(rate)} GFLOP/s"
        tip += f" at {short(intensity)} FLOP/byte"
        if _positive(row.get("roofline_pct")):
            tip += (
                f"\n{figure(row['roofline_pct']):.0f}% of the roofline, bound: {row.get('bound')}"
            )
        marks.append(chart.dot(x(intensity), y(rate), series(arms, row["arm"]), tip, 5))
    return chart.Chart(
        name=name, title="Roofline", aid=ROOFLINE_AID, width=chart.WIDE, height=360,
        x_title="arithmetic intensity, FLOP/byte", y_title="GFLOP/s",
        x_ticks=x.ticks(8), y_ticks=y.ticks(), marks=marks,
        legend=[*_legend(arms, rows), ("rule", "measured ceilings")],
    )  # fmt: skip


def _ceiling(run: Run, kind: str, place: tuple[Any, Any]) -> float | None:
    """The best block of one ceiling, of this dtype if the run tells it apart."""
    found = [
        r for r in run.of("ceiling") if r.get("ceiling") == kind and r.get("device") == place[0]
    ]
    exact = [r for r in found if r.get("dtype") == place[1]]
    values = [figure(r.get("value")) for r in exact or found]
    return max((value for value in values if value and value > 0), default=None)


def courses(run: Run) -> list[Variant]:
    """The samples over time, one figure for each workload and device."""
    arms = arms_of(run)
    groups: dict[tuple[Any, Any], list[Record]] = {}
    for sample in run.of("sample"):
        if _positive(sample.get("time_ns")):
            groups.setdefault((sample.get("workload"), sample.get("device")), []).append(sample)
    several = len({device for _, device in groups}) > 1
    return [
        Variant(
            f"{workload}{f' ({device})' if several else ''}",
            _course(samples, arms, f"course-{number}"),
        )
        for number, ((workload, device), samples) in enumerate(groups.items())
    ]


def _course(samples: Sequence[Record], arms: Sequence[str], name: str) -> chart.Chart:
    every = math.ceil(len(samples) / MOST_SAMPLES)
    shown = samples[::every]
    start = min((figure(s.get("start_ns")) or 0.0 for s in shown), default=0.0)
    stamped = all(figure(s.get("start_ns")) is not None for s in shown)
    places = [
        (figure(s["start_ns"]) or 0.0) - start if stamped else float(i) for i, s in enumerate(shown)
    ]
    times = [(figure(s["time_ns"]) or 0.0) / 1e6 for s in shown]
    x_span, y_span = chart.spans(chart.WIDE, 300)
    scale = 1e9 if stamped else 1.0
    x = chart.linear([p / scale for p in places], x_span)
    stretched = max(times) > OUTLIER * sorted(times)[len(times) // 2]
    y = chart.logarithmic(times, y_span) if stretched else chart.linear(times, y_span)
    marks = [
        _sample(s, x(p / scale), y(t), series(arms, s.get("arm")), t)
        for s, p, t in zip(shown, places, times, strict=True)
    ]
    thinned = f" Every {every}th of {len(samples)} samples is drawn." if every > 1 else ""
    return chart.Chart(
        name=name, title="Samples over time", aid=SAMPLES_AID + thinned, width=chart.WIDE,
        height=300, x_title="seconds since the first" if stamped else "sample",
        y_title=f"milliseconds{' (logarithmic)' if stretched else ''}",
        x_ticks=x.ticks(10), y_ticks=y.ticks(), marks=marks,
        legend=_legend(arms, shown),
    )  # fmt: skip


def _sample(sample: Record, x: float, y: float, css: str, time_ms: float) -> chart.Mark:
    dirty = sample.get("clean") is False
    tip = f"{sample.get('arm')}, block {sample.get('block')}: {time_ms:.4g} ms"
    if dirty:
        why = [
            f"{name} {short(sample[key])}"
            for key, name in (
                ("psi_us", "CPU pressure µs"),
                ("switches", "switches"),
                ("steal_us", "steal µs"),
            )
            if figure(sample.get(key)) is not None
        ]
        tip += "\ndisturbed: " + ", ".join(why)
    return chart.dot(x, y, f"{css} hollow dirty" if dirty else css, tip, 3.2)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a table: its length from 0 to 1, its words, its colour."""

    share: float
    text: str
    css: str
    name: str


@dataclass(frozen=True, slots=True)
class BarRow:
    """A row of bars, and further cells."""

    name: str
    bars: list[Bar]
    cells: list[str]


def memory(run: Run) -> list[BarRow]:
    """Peak resident memory of each phase and workload, a bar for each arm."""
    arms = arms_of(run)
    records = [r for r in run.of("memory") if _positive(r.get("peak_rss_mib"))]
    return _bar_rows(
        records,
        arms,
        lambda r: str(r.get("workload") or r.get("phase") or ""),
        lambda r: figure(r.get("peak_rss_mib")),
        lambda value: f"{value:,.0f} MiB",
    )


def phases(run: Run) -> list[BarRow]:
    """How long what happens once takes, a bar for each arm."""
    arms = arms_of(run)
    records = [r for r in run.of("phase") if _positive(r.get("seconds"))]
    names = [
        " ".join(str(part) for part in (r.get("phase"), r.get("workload"), r.get("cache")) if part)
        for r in records
    ]
    by_id = {id(r): name for r, name in zip(records, names, strict=True)}
    return _bar_rows(
        records, arms, lambda r: by_id[id(r)], lambda r: figure(r.get("seconds")), seconds
    )


def _bar_rows(
    records: Sequence[Record], arms: Sequence[str], name_of: Any, value_of: Any, text_of: Any
) -> list[BarRow]:
    largest = max((value_of(r) or 0.0 for r in records), default=0.0) or 1.0
    rows: dict[str, list[Bar]] = {}
    for record in records:
        value = value_of(record)
        bar = Bar(
            round(value / largest, 4), text_of(value), series(arms, record.get("arm")),
            " ".join(filter(None, (str(record.get("arm") or ""), _not_cpu(record)))),
        )  # fmt: skip
        rows.setdefault(name_of(record), []).append(bar)
    return [BarRow(name, bars, []) for name, bars in rows.items()]


def layers(run: Run) -> list[BarRow]:
    """Time of each place, a bar for each arm, beside its error and what is allowed."""
    arms = arms_of(run)
    records = [r for r in run.of("layer") if _positive(r.get("median_s"))]
    rows = _bar_rows(
        records, arms, lambda r: short_tap(r.get("tap")), lambda r: figure(r.get("median_s")),
        seconds,
    )  # fmt: skip
    errors: dict[str, list[str]] = {}
    for record in records:
        cell = f"{record.get('arm')}: {scientific(record.get('max_error'))} of "
        cell += scientific(record.get("allowed"))
        if figure(record.get("max_error")) is not None:
            errors.setdefault(short_tap(record.get("tap")), []).append(cell)
    return [BarRow(row.name, row.bars, errors.get(row.name, [])) for row in rows]


def scalings(run: Run) -> list[Variant]:
    """Measured and fitted cost by the length of the prompt, by batch, and by depth."""
    arms = arms_of(run)
    fits = run.of("scaling")
    rows = {
        (r.get("workload"), r.get("arm"), r.get("device"), r.get("dtype")): r
        for r in run.of("row")
        if _positive(r.get("median_s"))
    }
    variants = []
    for key, title in AXES:
        lines = _scaling_lines(rows.values(), fits, key)
        if lines:
            variants.append(Variant(title, _scaling(lines, arms, key, title)))
    return variants


def _scaling_lines(
    rows: Iterable[Record], fits: Sequence[Record], key: str
) -> dict[tuple[str, str], list[tuple[float, float, float | None]]]:
    """By arm and by what else is equal: (x, measured, fitted), where x takes several values."""
    others = [name for name in ("batch", "n_prompt", "n_gen", "n_depth") if name != key]
    lines: dict[tuple[str, str], list[tuple[float, float, float | None]]] = {}
    for row in rows:
        at = figure(row.get(key))
        if not at:
            continue
        rest = ", ".join(f"{name} {row[name]}" for name in others if row.get(name))
        label = f"{rest}{f' {row_device}' if (row_device := _not_cpu(row)) else ''}"
        points = lines.setdefault((str(row.get("arm")), label), [])
        points.append((at, float(row["median_s"]), _fitted(fits, row)))
    return {name: sorted(points) for name, points in lines.items() if len(points) > 1}


def _fitted(fits: Sequence[Record], row: Record) -> float | None:
    for fit in fits:
        if all(fit.get(name) in (None, row.get(name)) for name in ("arm", "device", "dtype")):
            for point in fit.get("points") or []:
                if isinstance(point, dict) and point.get("workload") == row.get("workload"):
                    return figure(point.get("fitted_s"))
    return None


def _scaling(
    lines: Mapping[tuple[str, str], list[tuple[float, float, float | None]]],
    arms: Sequence[str],
    key: str,
    title: str,
) -> chart.Chart:
    points = [point for some in lines.values() for point in some]
    x_span, y_span = chart.spans(chart.WIDE, 320)
    x = _log_air([p[0] for p in points], x_span)
    y = chart.logarithmic([v for p in points for v in p[1:] if v], y_span)
    marks: list[chart.Mark] = []
    for (arm, rest), some in lines.items():
        css = series(arms, arm)
        fitted = [(x(at), y(value)) for at, _, value in some if value]
        if len(fitted) > 1:
            marks.append(chart.line(fitted, f"line thin {css}"))
        marks += [
            chart.dot(x(at), y(m), css, f"{arm}, {title} {at:g}\n{rest}\n{seconds(m)}", 4)
            for at, m, _ in some
        ]
    ticks = sorted({p[0] for p in points})
    return chart.Chart(
        name=f"scaling-{key}", title=f"Cost against {title}", aid=SCALING_AID, width=chart.WIDE,
        height=320, x_title=f"{title} (logarithmic)", y_title="seconds",
        x_ticks=[(x(value), f"{value:g}") for value in ticks], y_ticks=y.ticks(), marks=marks,
        legend=[(series(arms, arm), arm) for arm in dict.fromkeys(name for name, _ in lines)],
    )  # fmt: skip


def _log_air(values: Sequence[float], span: tuple[float, float]) -> chart.Scale:
    return chart.Scale(min(values) / 1.15, max(values) * 1.15, *span, log=True)


def _positive(value: Any) -> bool:
    number = figure(value)
    return number is not None and math.isfinite(number) and number > 0
