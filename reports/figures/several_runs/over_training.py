"""A fine-tuning over its steps: how near each checkpoint comes to a bound, and the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.figures import chart
from reports.tables.numbers import brief, figure, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

Record = dict[str, Any]

HEIGHT = 260
MOST = 200.0
"""Percent from which the scale is logarithmic."""

PARITY = (
    ("used", "series-0", "worst place, alone"),
    ("free_used", "series-1", "worst place, running free"),
    ("median_used", "series-2", "median place, alone"),
)
LOSSES = (
    ("train_loss", "series-0", "training"),
    ("validation_loss", "series-1", "held out"),
    ("former_loss", "series-2", "held out of what it was trained on before"),
)
PARITY_AID = (
    "MAX's error at a place over what is allowed there, in percent: above the dashed line a "
    "checkpoint fails. What is allowed is measured anew for each checkpoint. A cross failed."
)
LOSS_AID = "Mean loss in PyTorch, over the same steps; less is better."


def figures(run: Run) -> list[chart.Chart]:
    """Both figures, one below the other on the same steps; those without data are left out."""
    steps = [float(r["step"]) for kind in ("checkpoint", "point") for r in run.of(kind)]
    x = chart.linear(steps, chart.spans(chart.WIDE, HEIGHT)[0])
    made = (parity_by_step(run.of("checkpoint"), x), loss_by_step(run.of("point"), x))
    return [figure for figure in made if figure]


def parity_by_step(checkpoints: Sequence[Record], x: chart.Scale) -> chart.Chart | None:
    """Shares of the allowed error, of checkpoints that were compiled."""
    known = [c for c in checkpoints if figure(c.get("used")) is not None]
    if not known:
        return None
    values = [100.0 * v for c in known for key, *_ in PARITY if (v := figure(c.get(key)))]
    span = chart.spans(chart.WIDE, HEIGHT)[1]
    wide = max(values, default=0.0) > MOST
    scale = chart.logarithmic if wide else chart.linear
    y = scale([*values, 100.0], span)
    marks = [chart.segment(x.start, y(100.0), x.end, y(100.0), "rule")]
    for key, css, text in PARITY:
        own = [(c, 100.0 * v) for c in known if (v := figure(c.get(key))) is not None]
        marks.append(chart.line([(x(c["step"]), y(v)) for c, v in own], f"line {css}"))
        marks += [_checkpoint(c, x(c["step"]), y(v), v, css, text) for c, v in own]
    return chart.Chart(
        name="parity", title="Parity over training", aid=PARITY_AID, width=chart.WIDE,
        height=HEIGHT, x_title="steps of training", x_ticks=x.ticks(10), y_ticks=y.ticks(),
        y_title=f"percent of what is allowed{' (logarithmic)' if wide else ''}", marks=marks,
        legend=[(css, text) for _, css, text in PARITY],
    )  # fmt: skip


def _checkpoint(
    one: Record, x: float, y: float, value: float, css: str, text: str
) -> chart.Mark:  # fmt: skip
    tip = f"{one['name']}, {text}: {percent(value / 100.0)}"
    if css == PARITY[0][1]:
        tip += f"\n{short_name(one['tap'])}, {one['case']}"
    if one["verdict"] == "FAIL" and value > 100.0:
        return chart.cross(x, y, "failed", tip)
    return chart.dot(x, y, css, tip, 4)


def loss_by_step(points: Sequence[Record], x: chart.Scale) -> chart.Chart | None:
    """Losses on the way."""
    values = [v for p in points for key, *_ in LOSSES if (v := figure(p.get(key))) is not None]
    if not values:
        return None
    y = chart.linear(values, chart.spans(chart.WIDE, HEIGHT)[1], zero=False)
    marks, legend = [], []
    for key, css, text in LOSSES:
        own = [(p["step"], v) for p in points if (v := figure(p.get(key))) is not None]
        if own:
            marks.append(chart.line([(x(step), y(v)) for step, v in own], f"line {css}"))
            marks += [chart.dot(x(step), y(v), css, f"step {step}, {text}: {brief(v)}")
                      for step, v in own]  # fmt: skip
            legend.append((css, text))
    return chart.Chart(
        name="losses", title="Loss over training", aid=LOSS_AID, width=chart.WIDE, height=HEIGHT,
        x_title="steps of training", y_title="nats per token", x_ticks=x.ticks(10),
        y_ticks=y.ticks(), marks=marks, legend=legend,
    )  # fmt: skip
