"""Servers under load: latency and answers by rate, throughput by callers, and latency over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import series
from reports.tables.load_markdown import load_name
from reports.tables.numbers import brief, figure, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.saved.records import Run

Record = dict[str, Any]

MOST_DOTS = 2000
"""Requests drawn of one server; of more, every n-th is drawn and the figure says so."""

LATENCY_AID = (
    "Requests arrive as a Poisson process; a latency counts from the arrival, waiting included. "
    "Lines are means, dots above them the 90th percentile where it is known. A vertical line is "
    "the knee, where the mean is twice that of a request alone; its band the 95% interval."
)
ANSWERED_AID = "On the diagonal a server answers as much as it is asked; below it, it falls behind."
CALLERS_AID = (
    "Each caller asks again as soon as it has its answer. Bars are 95% intervals between "
    "processes, where there are three or more."
)
OVER_TIME_AID = (
    "Every request of the first process by the time at which it was scheduled: load by load, "
    "upwards and then downwards. Crosses failed, or their answer is wrong."
)
HEIGHT = 300


def servers_of(run: Run) -> list[str]:
    """The servers in the order of their appearance; their index is their colour."""
    return list(dict.fromkeys(str(r["arm"]) for r in run.of("load") if r.get("arm")))


def rows_of(run: Run, loop: str) -> list[Record]:
    """Rows of one kind of loop that show a speed."""
    return [r for r in run.of("load") if r.get("loop") == loop and r.get("status") == "VALID"]


def latency_by_rate(run: Run) -> chart.Chart | None:
    """Mean latency by the rate of arrivals, with the knee of each server."""
    rows = [r for r in rows_of(run, "open") if figure(r.get("e2e_ms_mean"))]
    if not rows:
        return None
    arms, (x_span, y_span) = servers_of(run), chart.spans(chart.WIDE, HEIGHT)
    values = [figure(r.get(key)) for r in rows for key in ("e2e_ms_mean", "e2e_ms_p90")]
    x = chart.linear([r["load"] for r in rows], x_span)
    y = chart.logarithmic([v for v in values if v], y_span)
    marks = [mark for knee in run.of("knee") for mark in _knee(knee, x, y, arms)]
    for arm in arms:
        own = [r for r in rows if r["arm"] == arm]
        css = series(arms, arm)
        marks.append(chart.line([(x(r["load"]), y(r["e2e_ms_mean"])) for r in own], f"line {css}"))
        marks += [chart.dot(x(r["load"]), y(r["e2e_ms_mean"]), css, _tip(r), 4) for r in own]
        marks += [chart.dot(x(r["load"]), y(r["e2e_ms_p90"]), f"{css} hollow", _tip(r), 3)
                  for r in own if figure(r.get("e2e_ms_p90"))]  # fmt: skip
    return _chart("latency-by-rate", "Latency by rate of arrivals", LATENCY_AID, x, y, marks,
                  "arrivals a second", "latency of a request, ms (logarithmic)", arms)  # fmt: skip


def _knee(knee: Record, x: chart.Scale, y: chart.Scale, arms: Sequence[str]) -> list[chart.Mark]:
    rate, low, high = (figure(knee.get(key)) for key in ("knee_s", "knee_ci_lo", "knee_ci_hi"))
    if rate is None:
        return []
    css = series(arms, knee.get("arm"))
    tip = f"{knee.get('arm')}: knee at {brief(rate)} requests/s"
    band = [chart.rectangle(x(low), y.start, x(high), y.end, "band", tip)] if low and high else []
    return [*band, chart.segment(x(rate), y.start, x(rate), y.end, f"{css} whisker", tip)]


def answered_by_rate(run: Run) -> chart.Chart | None:
    """Answers a second by the rate of arrivals."""
    rows = rows_of(run, "open")
    if not rows:
        return None
    arms, (x_span, y_span) = servers_of(run), chart.spans(chart.WIDE, HEIGHT)
    x = chart.linear([r["load"] for r in rows], x_span)
    y = chart.linear([v for r in rows for v in (r["load"], r["requests_s"])], y_span)
    most = max(r["load"] for r in rows)
    marks = [chart.segment(x(0), y(0), x(most), y(most), "rule")]
    for arm in arms:
        own = [(x(r["load"]), y(r["requests_s"]), _tip(r)) for r in rows if r["arm"] == arm]
        css = series(arms, arm)
        marks.append(chart.line([(at, up) for at, up, _ in own], f"line {css}"))
        marks += [chart.dot(at, up, css, tip, 4) for at, up, tip in own]
    return _chart("answered-by-rate", "Answers by rate of arrivals", ANSWERED_AID, x, y, marks,
                  "arrivals a second", "answers a second", arms)  # fmt: skip


def tokens_by_callers(run: Run) -> chart.Chart | None:
    """Tokens a second by the number of callers."""
    rows = [r for r in rows_of(run, "closed") if figure(r.get("tok_s"))]
    if not rows:
        return None
    arms, (x_span, y_span) = servers_of(run), chart.spans(chart.WIDE, HEIGHT)
    callers = sorted({r["load"] for r in rows})
    x = chart.Scale(callers[0] / 1.15, callers[-1] * 1.15, *x_span, log=True)
    ends = [figure(r.get(key)) for r in rows for key in ("tok_s", "tok_s_ci_hi")]
    y = chart.linear([v for v in ends if v], y_span)
    marks: list[chart.Mark] = []
    for arm in arms:
        own = [r for r in rows if r["arm"] == arm]
        css = series(arms, arm)
        marks.append(chart.line([(x(r["load"]), y(r["tok_s"])) for r in own], f"line {css}"))
        marks += [chart.segment(x(r["load"]), y(r["tok_s_ci_lo"]), x(r["load"]),
                                y(r["tok_s_ci_hi"]), f"{css} whisker", _tip(r))
                  for r in own if figure(r.get("tok_s_ci_lo"))]  # fmt: skip
        marks += [chart.dot(x(r["load"]), y(r["tok_s"]), css, _tip(r), 4) for r in own]
    ticks = [(x(value), f"{value:g}") for value in callers]
    return _chart("tokens-by-callers", "Throughput by callers", CALLERS_AID, x, y, marks,
                  "callers at a time (logarithmic)", "tokens a second", arms, ticks)  # fmt: skip


def over_time(run: Run) -> list[Variant]:
    """Latency of each request of a server's first process."""
    found = []
    for arm in servers_of(run):
        own = [r for r in run.of("request") if r.get("arm") == arm and r.get("generation") == 0]
        if own:
            found.append(Variant(arm, _over_time(own, servers_of(run), arm)))
    return found


def _over_time(requests: Sequence[Record], arms: Sequence[str], arm: str) -> chart.Chart:
    every = math.ceil(len(requests) / MOST_DOTS)
    shown = sorted(requests, key=lambda r: r["scheduled_ns"])[::every]
    start = shown[0]["scheduled_ns"]
    places = [(r["scheduled_ns"] - start) / 1e9 for r in shown]
    times = [max(1e-3, (r["ended_ns"] - r["scheduled_ns"]) / 1e6) for r in shown]
    x_span, y_span = chart.spans(chart.WIDE, HEIGHT)
    x, y = chart.linear(places, x_span), chart.logarithmic(times, y_span)
    marks = [_request(r, x(at), y(ms), series(arms, arm), ms)
             for r, at, ms in zip(shown, places, times, strict=True)]  # fmt: skip
    thinned = f" Every {every}th of {len(requests)} is drawn." if every > 1 else ""
    name = f"over-time-{arms.index(arm)}"
    return _chart(name, "Latency over time", OVER_TIME_AID + thinned, x, y, marks,
                  "seconds since the first", "latency, ms (logarithmic)", [arm])  # fmt: skip


def _request(request: Record, x: float, y: float, css: str, time_ms: float) -> chart.Mark:
    level = load_name(request)
    tip = f"{level}, prompt {request.get('prompt')}: {time_ms:.4g} ms"
    problem = request.get("error") or request.get("wrong")
    if problem:
        return chart.cross(x, y, "failed", f"{tip}\n{problem}")
    return chart.dot(x, y, css if request.get("counts") else f"{css} hollow", tip, 2.6)


def _tip(row: Record) -> str:
    latency = [f"{name} {brief(row.get(f'e2e_ms_{name}'))} ms" for name in ("mean", "p50", "p90")]
    told = [f"{row.get('arm')}, {load_name(row)}", f"{short(row.get('tok_s'))} tokens/s",
            f"{short(row.get('requests_s'))} answers/s", f"E2E {', '.join(latency)}"]  # fmt: skip
    return "\n".join(told)


def _chart(
    name: str, title: str, aid: str, x: chart.Scale, y: chart.Scale, marks: Sequence[chart.Mark],
    x_title: str, y_title: str, arms: Iterable[str], ticks: Any = None,
) -> chart.Chart:  # fmt: skip
    every = list(arms)
    return chart.Chart(
        name=name, title=title, aid=aid, width=chart.WIDE, height=HEIGHT, x_title=x_title,
        y_title=y_title, x_ticks=ticks or x.ticks(10), y_ticks=y.ticks(), marks=marks,
        legend=[(series(every, arm), arm) for arm in every],
    )  # fmt: skip
