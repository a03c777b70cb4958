"""What a person sees of a run in the terminal."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from bench.screen.matrix import show_answer
from reports.tables.classes import finer_lines
from reports.tables.draws import inconclusive_lines
from reports.tables.numbers import brief, clock, duration, percent

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from rich.console import Console

    Record = Mapping[str, Any]

PAUSE_MATTERS = 1.1
"""From here on a note says what a pause before a call costs."""

TYPICAL_DIFFERS = 0.1
"""From here on (in logarithms) a note tells the ratio of typical calls too."""

STYLES = {
    "INVALID": "bold red", "ERROR": "bold red", "SKIP": "yellow",
    "FASTER": "bold green", "SLOWER": "bold red", "INCONCLUSIVE": "yellow",
}  # fmt: skip

DISTURBED_PCT = 20.0
"""Above this share of CPU pressure a note says so; a quiet machine shows a few percent."""

LEGEND = (
    "[ ]: 95% interval. ratio: time over {baseline}'s, by the fastest call of each turn. pp: "
    "forward pass; tg: greedy decode steps after @ d tokens. limit: the least time that this "
    "machine's measured ceilings allow, over the time taken; c: compute-bound, m: memory-bound. "
    "Every row with a speed is VALID: its timed outputs agree with PyTorch's in float32. spread: "
    "standard deviation between the processes of an arm, and between the quads of one process."
)


def show(console: Console, records: Sequence[Record]) -> None:
    """Print the answer, the tables, what they rest on, and why a row has no speed."""
    show_answer(console, records)
    rows, effects, nulls = (of(records, kind) for kind in ("row", "effect", "null"))
    seconds = {null["arm"] for null in nulls}  # these have a line of their own
    shown = [row for row in rows if row["arm"] not in seconds]
    console.print(speed_table(shown, effects, console.width))
    baselines = dict.fromkeys(effect["versus"] for effect in effects)
    legend = LEGEND.format(baseline=" or ".join(baselines) or "the other arm")
    console.print(legend, style="dim", markup=False, highlight=False)
    lines = [
        *coarse_lines(rows),
        *error_lines(rows, seconds),
        *null_lines(nulls),
        *ceiling_lines(of(records, "ceiling")),
    ]
    lines += [*latency_lines(rows, seconds), *phase_lines(rows), *copy_lines(rows, seconds)]
    lines += memory_lines(rows, seconds)
    for line in lines:
        console.print(line, style="dim", markup=False, highlight=False)
    for line in [*inconclusive_lines(effects), *reason_lines(rows)]:
        console.print(line, style="yellow", markup=False, highlight=False)


def of(records: Iterable[Record], kind: str) -> list[Record]:
    """The records of one kind."""
    return [record for record in records if record["record"] == kind]


def speed_table(rows: Sequence[Record], effects: Sequence[Record], width: int) -> Table:
    """One row for each workload, arm, and where there are several, device, threads and model.

    Where it would be wider than `width`, the two columns with intervals wrap.
    """
    found = {_key(effect): effect for effect in effects}
    told = [name for name in ("model", "device", "threads")
            if len({row.get(name) for row in rows if row["workload"]}) > 1
            or (name == "device" and len({row["device"] for row in rows}) > 1)]  # fmt: skip
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    named = {name: max(len(name), _widest(name, rows)) for name in ("workload", "arm", *told)}
    fixed = {"tokens/s": 8, "spread": 8, "verdict": _widest_verdict(rows, effects), "limit": 5}
    left = width - sum(2 + size for size in (*named.values(), *fixed.values())) - 2 * 2
    for name, size in named.items():
        table.add_column(name, min_width=size)
    table.add_column("median, ms", justify="right", max_width=max(8, left // 2))
    table.add_column("tokens/s", justify="right", min_width=fixed["tokens/s"])
    table.add_column("ratio", justify="right", max_width=max(8, left // 2))
    table.add_column("spread", justify="right", min_width=fixed["spread"])
    table.add_column("verdict", min_width=fixed["verdict"])
    table.add_column("limit", justify="right", min_width=fixed["limit"])
    previous = rows[0]["workload"] if rows else None
    for row in rows:
        if row["workload"] != previous:
            table.add_section()
            previous = row["workload"]
        table.add_row(*_cells(row, told, found.get(_key(row))))
    return table


def _verdict(row: Record, effect: Record | None) -> str:
    """What the ratio says; of a row without a speed, what it is; of the others' measure, that."""
    if row["status"] != "VALID":
        return str(row["status"])
    return str(effect["verdict"]) if effect else "baseline"


def _widest_verdict(rows: Sequence[Record], effects: Sequence[Record]) -> int:
    found = {_key(effect): effect for effect in effects}
    return max((len(_verdict(row, found.get(_key(row)))) for row in rows), default=0)


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in ("model", "workload", "device", "threads", "arm"))


def _widest(column: str, rows: Sequence[Record]) -> int:
    return max((len(str(row.get(column) or "")) for row in rows), default=0)


def coarse_lines(rows: Iterable[Record]) -> list[str]:
    """The arms whose results are allowed to be as far off as a coarser dtype's."""
    coarse = {
        row["arm"]: row["judged_as"]
        for row in rows
        if row["status"] == "VALID" and row.get("judged_as") not in (None, "float32")
    }
    return [f"{arm}: {_judged(dtype)}" for arm, dtype in coarse.items()]


def _judged(dtype: str) -> str:
    if dtype.endswith(" weights"):
        return f"judged by PyTorch in float32 with {dtype} rounded alike"
    whose = "PyTorch with matrices and their inputs in 8 bits"
    whose = whose if dtype == "int8" else f"PyTorch's own {dtype} pass"
    return f"judged as {dtype}, by three times the error of {whose}"


def error_lines(rows: Iterable[Record], without: Container[str] = ()) -> list[str]:
    """`Largest difference to PyTorch in float32, of the largest logit: max 6.6e-07, ...`.

    A line for each class, on the weights as they are.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        error = row.get("error_relative")
        if error is not None and row["arm"] not in without:
            found[row["compared_in"]][row["arm"]] = f"{row['arm']} {error:.1e}"
    return [
        f"Largest difference to PyTorch in float32 over the largest logit, {class_}: "
        f"{', '.join(arms.values())}"
        for class_, arms in found.items()
    ]


def null_lines(nulls: Sequence[Record]) -> list[str]:
    """`Null, torch against itself: pp32 1.002 [0.99, 1.01]`, one line for each group."""
    grouped: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for null in nulls:
        name = null["workload"] or "all"
        interval = _with_interval(null["ratio"], null["ci_lo"], null["ci_hi"])
        grouped[null["model"], null["device"], null["threads"], null["versus"]].append(
            f"{name} {interval}"
        )
    return [
        f"Null, {versus} against itself: {', '.join(told)}"
        for (_, _, _, versus), told in grouped.items()
    ]


def ceiling_lines(ceilings: Sequence[Record]) -> list[str]:
    """`Ceilings, cpu, 2 threads: read 44 GB/s, ...`, one line for each group."""
    grouped: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for ceiling in ceilings:
        if ceiling["workload"] is None:
            name = ceiling["ceiling"].replace("_", " ")
            several = len({c["dtype"] for c in ceilings}) > 1
            dtype = f" {ceiling['dtype']}" if several and ceiling["ceiling"] != "read" else ""
            told = f"{name}{dtype} {brief(ceiling['value'])} {ceiling['unit']}"
            grouped[ceiling["model"], ceiling["device"], ceiling["threads"]].append(told)
    return [
        f"Ceilings, {device}, {threads} threads: {', '.join(told)}"
        for (_, device, threads), told in grouped.items()
    ]


def latency_lines(rows: Iterable[Record], without: Container[str] = ()) -> list[str]:
    """`max, tg16 @ d32: TTFT 3.1 ms, TPOT 2.0 ms, ITL p99 2.9 ms`."""
    lines = []
    for row in rows:
        if row.get("ttft_ms") is not None and row["arm"] not in without:
            named = {"TTFT": "ttft_ms", "TPOT": "tpot_ms", "ITL p99": "itl_ms_p99"}
            told = [f"{name} {brief(row[key])} ms" for name, key in named.items()
                    if row[key] is not None]  # fmt: skip
            lines.append(f"{row['arm']}, {row['workload']}: {', '.join(told)}")
    return lines


def phase_lines(rows: Iterable[Record]) -> list[str]:
    """`max on cpu: load 0.1 s, compile 2.3 s (warm), first call 9 ms`, for each arm and device."""
    lines: dict[tuple[str, str], str] = {}
    for row in rows:
        phases = {name: row.get(f"{name}_s") for name in ("import", "load", "compile")}
        told = [
            f"{name} {duration(seconds)}" for name, seconds in phases.items() if seconds is not None
        ]
        if told:
            cache = f" ({row['compile_cache']})" if row.get("compile_cache") else ""
            first = row.get("first_call_s")
            call = "" if first is None else f", first call {duration(first)}"
            lines.setdefault((row["arm"], row["device"]), ", ".join(told) + cache + call)
    return [f"{arm} on {device}: {text}" for (arm, device), text in lines.items()]


def copy_lines(rows: Iterable[Record], without: Container[str] = ()) -> list[str]:
    """`Copies to the host, in no other time: max 0.1 ms, 1% of a call (pp128)`, at most."""
    most: dict[str, tuple[float, str]] = {}
    for row in rows:
        copied, call, arm = row.get("host_copy_s"), row.get("median_s"), row["arm"]
        if copied and call and arm not in without:
            share = copied / call
            text = f"{arm} {duration(copied)}, {percent(share)} of a call ({row['workload']})"
            most[arm] = max((share, text), most.get(arm, (0.0, "")))
    told = "; ".join(text for _, text in most.values())
    return [f"Copies to the host, in no other time, at most: {told}"] if told else []


def memory_lines(rows: Iterable[Record], without: Container[str] = ()) -> list[str]:
    """`Most memory held: max 322 MiB, torch 430 MiB`."""
    peaks: dict[str, float] = {}
    for row in rows:
        peak, arm = row.get("peak_rss_mib"), row["arm"]
        if peak is not None and arm not in without:
            peaks[arm] = max(peak, peaks.get(arm, 0.0))
    told = ", ".join(f"{arm} {peak:,.0f} MiB" for arm, peak in peaks.items())
    return [f"Most memory held: {told}"] if told else []


def reason_lines(rows: Iterable[Record]) -> list[str]:
    """`INVALID max on cpu (pp32, tg16): reason`, each reason once."""
    grouped: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        for reason in row["invalid_reasons"]:
            key = row["status"], row["arm"], row["device"], reason
            grouped[key] += [row["workload"]] if row["workload"] else []
    return [
        f"{status} {arm} on {device}" + (f" ({', '.join(names)})" if names else "") + f": {reason}"
        for (status, arm, device, reason), names in grouped.items()
    ]


def notes(records: Sequence[Record], pressure_pct: float | None) -> list[str]:
    """What a reader should know before believing the figures."""
    failed = [
        f"The null of {null['workload']} failed: {null['arm']} and {null['versus']} are equal "
        f"code, and their ratio is {brief(null['ratio'])}. One in twenty does so by chance; "
        "otherwise trust no smaller difference in this run."
        for null in of(records, "null")
        if null["failed"]
    ]
    paused = [
        f"{row['arm']}, {row['workload']}: a call takes {row['paused_ratio']:.2f} times as long "
        "after its caller was busy with something else for a millisecond."
        for row in of(records, "row")
        if (row.get("paused_ratio") or 0.0) > PAUSE_MATTERS and "#" not in row["arm"]
    ]
    pressure = _pressure_note(pressure_pct)
    finer = finer_lines(row for row in of(records, "row") if "#" not in row["arm"])
    return [*([pressure] if pressure else []), *failed, *paused, *finer, *_typical_notes(records)]


def _typical_notes(records: Sequence[Record]) -> list[str]:
    """Where a caller typically sees another ratio than the one that arms are compared by."""
    return [
        f"{effect['arm']}, {effect['workload']}: typical calls have a ratio of "
        f"{brief(effect['ratio_typical'])}, the fastest {brief(effect['ratio'])}: other work "
        "on this machine slows the two unequally."
        for effect in of(records, "effect")
        if effect.get("ratio_typical")
        and abs(math.log(effect["ratio_typical"] / effect["ratio"])) > TYPICAL_DIFFERS
    ]


def shares_line(shares: Mapping[str, float]) -> str:
    """Where a run's time went: `Wall time 1:40: loading 35%, timing 40%, ...`."""
    wall_s = shares["wall_s"]
    parts = [f"{name.removesuffix('_s')} {percent(seconds / wall_s)}"
             for name, seconds in shares.items() if name != "wall_s"]  # fmt: skip
    return f"Wall time {clock(wall_s)}: {', '.join(parts)}."


def _pressure_note(pressure_pct: float | None) -> str:
    """A warning where other work took CPUs from the arms that were timed, else nothing."""
    if pressure_pct is None or pressure_pct < DISTURBED_PCT:
        return ""
    return (
        f"While arms were timed, other programs took {min(pressure_pct, 100):.0f}% of their CPU "
        "time. Intervals are wide and ratios shift, because thread pools suffer "
        "unequally (PyTorch's far more). Repeat it on a quiet machine, or with -t 1."
    )


def _cells(row: Record, told: Sequence[str], effect: Record | None) -> list[str | Text]:
    limit = row.get("limit_pct") or row.get("roofline_pct")
    verdict = _verdict(row, effect)
    return [
        row["workload"] or "-",
        row["arm"],
        *(str(row.get(name) or "") for name in told),
        _with_interval(row.get("median_s"), row.get("ci_lo_s"), row.get("ci_hi_s"), 1e3),
        brief(row.get("tok_s"), none=""),
        _with_interval(effect["ratio"], effect["ci_lo"], effect["ci_hi"]) if effect else "",
        _spread(row),
        Text(verdict, STYLES.get(verdict, "")),
        f"{percent(limit / 100)} {row['bound'][0]}" if limit is not None else "",
    ]


def _spread(row: Record) -> str:
    """`0.4/2.5%`: between processes, and between quads of one."""
    values = [row.get(f"spread_{name}_pct") for name in ("processes", "quads")]
    if values == [None, None]:
        return ""
    told = ("-" if v is None else f"{v:.1f}" if v < 9.95 else f"{v:.0f}" for v in values)
    return f"{'/'.join(told)}%"


def _with_interval(
    value: float | None, low: float | None, high: float | None, scale: float = 1
) -> str:
    if value is None:
        return ""
    interval = (
        f" [{brief(low * scale)}, {brief(high * scale)}]"
        if low is not None and high is not None
        else ""
    )
    return f"{brief(value * scale)}{interval}"
