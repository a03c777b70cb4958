"""The roofline: what the machine can do at most, and where each arm lies below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import Record, arms_of, legend_of, positive, series
from reports.tables.numbers import figure, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

MULTIPLY = "peak", "peak_by_six", "gemm", "replay"
"""Ceilings of arithmetic."""

ROOFLINE_AID = (
    "No arm can lie above the roof, which was measured in this run: on the left memory is the "
    "limit, on the right arithmetic. The closer to the roof, the less is left to gain."
)


def rooflines(run: Run) -> list[Variant]:
    """One roofline for each device and dtype that has ceilings and rows."""
    arms = arms_of(run)
    rows = [
        row
        for row in run.of("row")
        if all(positive(row.get(key)) for key in ("flops", "bytes", "median_s"))
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
    gemm = _ceiling(run, MULTIPLY, place)
    read = _ceiling(run, ("read", "read_weights"), place)
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
    marks.append(
        chart.label(x(x.high) - 4, y(gemm) - 6, f"multiply {short(gemm)} GFLOP/s", "", "end")
    )
    marks.append(chart.label(roof[0][0] + 10, roof[0][1] + 16, f"read {short(read)} GB/s"))
    for row, intensity, rate in spots:
        tip = f"{row['workload']}, {row['arm']}\n{short(rate)} GFLOP/s"
        tip += f" at {short(intensity)} FLOP/byte"
        if positive(row.get("roofline_pct")):
            tip += (
                f"\n{figure(row['roofline_pct']):.0f}% of the roofline, bound: {row.get('bound')}"
            )
        marks.append(chart.dot(x(intensity), y(rate), series(arms, row["arm"]), tip, 5))
    return chart.Chart(
        name=name, title="Roofline", aid=ROOFLINE_AID, width=chart.WIDE, height=360,
        x_title="arithmetic intensity, FLOP/byte", y_title="GFLOP/s",
        x_ticks=x.ticks(8), y_ticks=y.ticks(), marks=marks,
        legend=[*legend_of(arms, rows), ("rule", "measured ceilings")],
    )  # fmt: skip


def _ceiling(run: Run, kinds: Sequence[str], place: tuple[Any, Any]) -> float | None:
    """The best block of some ceilings, of this dtype if the run tells it apart."""
    found = [
        r for r in run.of("ceiling") if r.get("ceiling") in kinds and r.get("device") == place[0]
    ]
    held = str(place[1]).partition("-")[0]
    exact = [r for r in found if r.get("dtype") == held or r.get("ceiling") == "read"]
    values = [figure(r.get("value")) for r in exact or found]
    return max((value for value in values if value and value > 0), default=None)
