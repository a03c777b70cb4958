"""What a person sees of a run in the terminal."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.tables.numbers import brief, duration, percent

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from rich.console import Console

    Record = Mapping[str, Any]

STYLES = {
    "INVALID": "bold red", "ERROR": "bold red", "SKIP": "yellow",
    "FASTER": "bold green", "SLOWER": "bold red", "INCONCLUSIVE": "yellow",
}  # fmt: skip

DISTURBED_PCT = 20.0
"""Above this share of CPU pressure a person is told; a quiet machine shows a few percent."""

LEGEND = (
    "[ ]: 95% interval. ratio: time over {baseline}'s. pp: forward pass; tg: greedy decode steps "
    "after @ d tokens. limit: the least time that this machine's measured ceilings allow, over "
    "the time taken; c: compute-bound, m: memory-bound. Every row with a speed is VALID: its timed "
    "outputs agree with PyTorch's in float32."
)


def show(console: Console, records: Sequence[Record]) -> None:
    """Print the table, what stands behind it, then every reason why a row has no speed."""
    rows, effects, nulls = (of(records, kind) for kind in ("row", "effect", "null"))
    seconds = {null["arm"] for null in nulls}  # these have a line of their own
    console.print(speed_table([row for row in rows if row["arm"] not in seconds], effects))
    baselines = dict.fromkeys(effect["versus"] for effect in effects)
    legend = LEGEND.format(baseline=" or ".join(baselines) or "the other arm")
    console.print(legend, style="dim", markup=False, highlight=False)
    lines = [*coarse_lines(rows), *null_lines(nulls), *ceiling_lines(of(records, "ceiling"))]
    for line in [*lines, *latency_lines(rows, seconds), *phase_lines(rows)]:
        console.print(line, style="dim", markup=False, highlight=False)
    for line in [*inconclusive_lines(effects), *reason_lines(rows)]:
        console.print(line, style="yellow", markup=False, highlight=False)


def of(records: Iterable[Record], kind: str) -> list[Record]:
    """The records of one kind."""
    return [record for record in records if record["record"] == kind]


def speed_table(rows: Sequence[Record], effects: Sequence[Record]) -> Table:
    """One row for each workload, arm, and where there are several, device, threads and model."""
    found = {_key(effect): effect for effect in effects}
    told = [name for name in ("model", "device", "threads")
            if len({row.get(name) for row in rows if row["workload"]}) > 1
            or (name == "device" and len({row["device"] for row in rows}) > 1)]  # fmt: skip
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in ("workload", "arm", *told):
        table.add_column(name, min_width=_widest(name, rows))
    table.add_column("median, ms", justify="right")  # these two wrap where they are too wide
    table.add_column("tokens/s", justify="right", min_width=8)
    table.add_column("ratio", justify="right")
    table.add_column("verdict", min_width=_widest_verdict(rows, effects))
    table.add_column("limit", justify="right", min_width=5)
    table.add_column("peak MiB", justify="right", min_width=8)
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
    return [
        f"{arm}: judged by PyTorch in float32 with {dtype} rounded alike"
        if dtype.endswith(" weights")
        else f"{arm}: judged as {dtype}, by three times the error of PyTorch's own {dtype} pass"
        for arm, dtype in coarse.items()
    ]


def null_lines(nulls: Sequence[Record]) -> list[str]:
    """`Null: torch against itself: pp32 1.002 [0.99, 1.01]`, one line for each group."""
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
    """`max on cpu: load 0.1 s, compile 2.3 s (warm)`, once for each arm and device."""
    lines = {}
    for row in rows:
        phases = {name: row.get(f"{name}_s") for name in ("import", "load", "compile")}
        told = [
            f"{name} {duration(seconds)}" for name, seconds in phases.items() if seconds is not None
        ]
        if told:
            cache = f" ({row['compile_cache']})" if row.get("compile_cache") else ""
            lines[row["arm"], row["device"]] = ", ".join(told) + cache
    return [f"{arm} on {device}: {text}" for (arm, device), text in lines.items()]


def inconclusive_lines(effects: Iterable[Record]) -> list[str]:
    """How many further blocks would probably settle what is open."""
    lines = []
    for effect in effects:
        if effect["verdict"] == "INCONCLUSIVE":
            needed = effect["blocks_needed"]
            more = f"about {needed} more blocks" if needed else "too many blocks to be worth it"
            lines.append(f"INCONCLUSIVE {effect['arm']}, {effect['workload']}: needs {more}")
    return lines


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
    apart = [
        f"The null of {null['workload']} is {brief(null['ratio'])}, and its interval "
        "leaves out 1: two processes of equal code differed, so trust no smaller ratio."
        for null in of(records, "null")
        if null["workload"] and null["ci_lo"] and not null["ci_lo"] <= 1 <= null["ci_hi"]
    ]
    pressure = _pressure_note(pressure_pct)
    return [pressure, *apart] if pressure else apart


def _pressure_note(pressure_pct: float | None) -> str:
    """A warning where other work took CPUs away while arms were timed, else nothing."""
    if pressure_pct is None or pressure_pct < DISTURBED_PCT:
        return ""
    return (
        f"Some task waited for a CPU during {min(pressure_pct, 100):.0f}% of the timed turns: "
        "other work was running. Intervals are wide and ratios shift, because thread pools suffer "
        "unequally (PyTorch's far more). Repeat it on a quiet machine, or with -t 1."
    )


def _cells(row: Record, told: Sequence[str], effect: Record | None) -> list[str | Text]:
    memory, limit = row.get("peak_rss_mib"), row.get("roofline_pct")
    verdict = _verdict(row, effect)
    return [
        row["workload"] or "-",
        row["arm"],
        *(str(row.get(name) or "") for name in told),
        _with_interval(row.get("median_s"), row.get("ci_lo_s"), row.get("ci_hi_s"), 1e3),
        brief(row.get("tok_s"), none=""),
        _with_interval(effect["ratio"], effect["ci_lo"], effect["ci_hi"]) if effect else "",
        Text(verdict, STYLES.get(verdict, "")),
        f"{percent(limit / 100)} {row['bound'][0]}" if limit is not None else "",
        f"{memory:,.0f}" if memory is not None else "",
    ]


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
