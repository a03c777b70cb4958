"""What a person sees of a load in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from bench.asking.level import level_name
from bench.serving.latency import too_few
from bench.serving.load_rows import row_name
from bench.serving.server_arms import SERVERS
from reports.tables.numbers import brief, duration, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    Record = Mapping[str, Any]

STYLES = {"INVALID": "bold red", "ERROR": "bold red", "SKIP": "yellow"}

LEGEND = (
    "load: callers at a time (closed loop), or arrivals a second (open loop, Poisson). TTFT, TPOT "
    "and E2E in ms: p50 p90 p99, - where n is too small; TTFT and E2E from the scheduled time. "
    "good: the share of requests that were right and kept the limits. late: the client's own "
    "lateness in ms, p50 p99. Every answer of a VALID row was checked."
)  # fmt: skip


def show_load(console: Console, records: Sequence[Record], *, quiet: bool) -> None:
    """Print everything; with `quiet` how many rows have which status."""
    rows = _of(records, "load")
    if quiet:
        statuses = [row["status"] for row in rows]
        told = ", ".join(f"{statuses.count(s)} {s}" for s in dict.fromkeys(statuses))
        console.print(f"{len(rows)} rows{': ' if told else ''}{told}", highlight=False)
        return
    for line in first_wrong(records):
        console.print(line, style="bold red", markup=False, highlight=False)
    console.print(load_table([row for row in rows if row["loop"]]))
    console.print(LEGEND, style="dim", markup=False, highlight=False)
    for line in [*knee_lines(records), *start_lines(records), *lack_lines(rows),
                 *effect_lines(records), *cross_check_lines(records)]:  # fmt: skip
        console.print(line, style="dim", markup=False, highlight=False)
    for line in reason_lines(rows):
        console.print(line, style="yellow", markup=False, highlight=False)


def _of(records: Sequence[Record], kind: str) -> list[Record]:
    return [record for record in records if record["record"] == kind]


def load_table(rows: Sequence[Record]) -> Table:
    """A row for each load and server."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in ("load", "server"):
        table.add_column(name)
    for name in ("tok/s", "req/s", "TTFT", "TPOT", "E2E", "good", "late"):
        table.add_column(name, justify="right")
    table.add_column("status")
    previous = rows[0]["load"] if rows else None
    for row in rows:
        if row["load"] != previous:
            table.add_section()
            previous = row["load"]
        table.add_row(*_cells(row))
    return table


def _cells(row: Record) -> list[str | Text]:
    late = " ".join(_two(row[f"client_late_ms_p{p}"]) for p in (50, 99))
    spreads = [" ".join(_two(row[f"{name}_ms_p{p}"]) for p in (50, 90, 99))
               for name in ("ttft", "tpot", "e2e")]  # fmt: skip
    share = row["goodput_share"]
    return [level_name(row["loop"], row["load"]), row["arm"], brief(row["tok_s"]),
            brief(row["requests_s"]), *spreads, percent(share) if share is not None else "",
            late, Text(row["status"], STYLES.get(row["status"], ""))]  # fmt: skip


def _two(value: float | None) -> str:
    """Two digits, or all before the point."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def first_wrong(records: Sequence[Record]) -> list[str]:
    """The first wrong answer, where there is one."""
    for one in _of(records, "request"):
        if one["right"] is False:
            level = level_name(one["loop"], one["load"])
            where = f"{one['arm']}, {level}, prompt {one['prompt']}"
            return [f"First wrong answer: {where}: {one['wrong']}: {one['text']!r}"]
    return []


def knee_lines(records: Sequence[Record]) -> list[str]:
    """`max: knee at 31 [28, 33] requests/s (...); at most 45/s`."""
    lines = []
    for knee in _of(records, "knee"):
        most = (f"answered {brief(knee['most_requests_s'])} requests/s at most "
                f"({level_name(knee['most_loop'], knee['most_load'])})")  # fmt: skip
        lines.append(f"{knee['arm']}: {knee_words(knee)}; {most}")
    return lines


def knee_words(knee: Record) -> str:
    """The knee in words."""
    what = "where the mean latency is twice that of a request alone"
    if knee["beyond"] is None:
        return "no knee, which takes two rates and one request at a time"
    if knee["beyond"]:
        return f"the knee, {what}, lies {knee['beyond']} the rates that were tried"
    low, high = (brief(knee[key]) if knee[key] is not None else "beyond" for key in
                 ("knee_ci_lo", "knee_ci_hi"))  # fmt: skip
    return f"knee at {brief(knee['knee_s'])} [{low}, {high}] requests/s, {what}"


def start_lines(records: Sequence[Record]) -> list[str]:
    """How long each server took to its first token, and afterwards."""
    lines: dict[tuple[str, str], list[Record]] = {}
    for start in _of(records, "start"):
        if not start["skipped"] and not start["error"]:
            lines.setdefault((start["arm"], start["cache"]), []).append(start)
    return [
        f"{arm}, {cache} caches: first token {_range([s['first_token_s'] for s in some], 1)} after "
        f"its start, then {_range([s['warm_ttft_ms'] for s in some], 1e-3)}"
        for (arm, cache), some in lines.items()
    ]


def _range(values: Sequence[float | None], unit_s: float) -> str:
    known = sorted(value * unit_s for value in values if value is not None)
    if not known:
        return "-"
    if len(known) == 1:
        return duration(known[0])
    return f"{duration(known[0])} to {duration(known[-1])}"


def lack_lines(rows: Sequence[Record]) -> list[str]:
    """What a reader must know of each server, and the precision that it is judged in."""
    arms = {row["arm"]: row["dtype"] for row in rows if row["arm"] in SERVERS}
    return [
        f"{arm}: weights in {dtype}, judged as {SERVERS[arm].judged_as}"
        + (f"; {SERVERS[arm].lacks}" if SERVERS[arm].lacks else "")
        for arm, dtype in arms.items()
    ]


def effect_lines(records: Sequence[Record]) -> list[str]:
    """`llama.cpp over max, 4 at a time: token 1.2 [1.1, 1.3] SLOWER, ...`."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for effect in _of(records, "load_effect"):
        key = effect["arm"], effect["versus"], level_name(effect["loop"], effect["load"])
        told = f"[{brief(effect['ci_lo'])}, {brief(effect['ci_hi'])}]"
        interval = told if effect["ci_lo"] is not None else ""
        words = " ".join(filter(None, (effect["metric"], brief(effect["ratio"]), interval,
                                       effect["verdict"])))  # fmt: skip
        found.setdefault(key, []).append(words)
    reasons = {effect["why"] for effect in _of(records, "load_effect") if effect["why"]}
    lines = [f"{arm} over {versus}, {level}: {', '.join(told)}"
             for (arm, versus, level), told in found.items()]  # fmt: skip
    return [*lines, *sorted(reasons)]


def cross_check_lines(records: Sequence[Record]) -> list[str]:
    """Both programs' figures of the same load, and how far they are apart."""
    return [
        f"max benchmark beside this client, {one['load']:g} at a time: {one['metric']} "
        f"{brief(one['theirs'])} and {brief(one['ours'])} {one['unit']}, apart by "
        f"{percent(one['apart'])}" if one["error"] == "" else f"max benchmark: {one['error']}"
        for one in _of(records, "cross_check")
    ]  # fmt: skip


def reason_lines(rows: Sequence[Record]) -> list[str]:
    """`INVALID max, 4 at a time: reason`."""
    return [f"{row['status']} {row_name(row)}: {reason}" for row in rows
            for reason in row["invalid_reasons"]]  # fmt: skip


__all__ = ["show_load", "too_few"]
