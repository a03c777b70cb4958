"""What an arm's cost depends on: measured, and as fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import Record, arms_of, not_cpu, positive, series
from reports.tables.numbers import duration, figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.saved.records import Run

AXES = (("n_prompt", "length of the prompt"), ("batch", "batch"), ("n_depth", "depth"))
"""What cost is drawn against: a row's key, and its name."""

PLACE = ("model", "workload", "arm", "device", "dtype", "threads")
"""What tells one row from another."""

SCALING_AID = (
    "Dots were measured, lines are the fitted cost: a cost of each pass through the model, and the "
    "arithmetic and memory traffic at fitted rates."
)


def scalings(run: Run) -> list[Variant]:
    """Measured and fitted cost by the length of the prompt, by batch, and by depth."""
    arms = arms_of(run)
    fits = run.of("scaling")
    several = len({r.get("model") for r in run.of("row") if r.get("model")}) > 1
    rows = {
        tuple(r.get(key) for key in PLACE): r for r in run.of("row") if positive(r.get("median_s"))
    }
    variants = []
    for key, title in AXES:
        lines = _scaling_lines(rows.values(), fits, key, several)
        if lines:
            variants.append(Variant(title, _scaling(lines, arms, key, title)))
    return variants


def _scaling_lines(
    rows: Iterable[Record], fits: Sequence[Record], key: str, several: bool
) -> dict[tuple[str, str], list[tuple[float, float, float | None]]]:
    """By arm and by what else is equal: (x, measured, fitted), where x takes several values."""
    others = [name for name in ("batch", "n_prompt", "n_gen", "n_depth") if name != key]
    lines: dict[tuple[str, str], list[tuple[float, float, float | None]]] = {}
    for row in rows:
        at = figure(row.get(key))
        if not at:
            continue
        rest = ", ".join(f"{name} {row[name]}" for name in others if row.get(name))
        model = str(row.get("model")) if several else ""
        label = " ".join(filter(None, (model, rest, _threads(row), not_cpu(row))))
        points = lines.setdefault((str(row.get("arm")), label), [])
        points.append((at, float(row["median_s"]), _fitted(fits, row)))
    return {name: sorted(points) for name, points in lines.items() if len(points) > 1}


def _threads(row: Record) -> str:
    return f"{row['threads']} threads" if row.get("threads") else ""


def _fitted(fits: Sequence[Record], row: Record) -> float | None:
    for fit in fits:
        if _same(fit, row, ("arm", "device", "dtype", "threads")):
            for point in fit.get("points") or []:
                if isinstance(point, dict) and _same(point, row, ("model", "workload")):
                    return figure(point.get("fitted_s"))
    return None


def _same(one: Mapping[str, Any], row: Record, keys: Sequence[str]) -> bool:
    """Whether the keys are equal, where the first has them."""
    return all(one.get(key) in (None, row.get(key)) for key in keys)


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
            chart.dot(x(at), y(m), css, f"{arm}, {title} {at:g}\n{rest}\n{duration(m)}", 4)
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
