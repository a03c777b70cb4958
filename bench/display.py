"""What a person sees of a run in the terminal."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

WIDTH = 100
STYLES = {"VALID": "green", "INVALID": "bold red", "ERROR": "bold red", "SKIP": "yellow"}

DISTURBED_PCT = 20.0
"""Above this share of CPU pressure a person is told; a quiet machine shows a few percent."""

LEGEND = (
    "[ ]: 95% interval. ratio: time over {baseline}'s. pp: forward pass, all logits; tg: greedy "
    "tokens, the prompt's pass included."
)


def show(
    console: Console, rows: Sequence[Mapping[str, Any]], effects: Sequence[Mapping[str, Any]]
) -> None:
    """Print the table, then every reason why a row has no speed."""
    console.print(speed_table(rows, effects))
    baselines = dict.fromkeys(effect["versus"] for effect in effects)
    console.print(LEGEND.format(baseline=" or ".join(baselines) or "the other arm"), style="dim")
    for line in phase_lines(rows):
        console.print(line, style="dim", markup=False, highlight=False)
    for line in reason_lines(rows):
        console.print(line, style="yellow", markup=False, highlight=False)


def speed_table(rows: Sequence[Mapping[str, Any]], effects: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each workload, arm and device."""
    ratios = {(e["workload"], e["device"], e["arm"]): e for e in effects}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in ("workload", "arm", "device"):
        table.add_column(name, min_width=_widest(name, rows))
    table.add_column("median", justify="right")  # these two wrap where they are too wide
    table.add_column("tokens/s", justify="right", min_width=8)
    table.add_column("ratio", justify="right")
    table.add_column("peak RSS", justify="right", min_width=10)
    table.add_column("status", min_width=7)
    for row in rows:
        key = row["workload"], row["device"], row["arm"]
        table.add_row(*_cells(row, ratios.get(key)))
    return table


def _widest(column: str, rows: Sequence[Mapping[str, Any]]) -> int:
    return max((len(row[column] or "") for row in rows), default=0)


def phase_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """`max on cpu: load 0.1 s, compile 2.3 s`, once for each arm and device."""
    lines = {}
    for row in rows:
        phases = {name: row.get(f"{name}_s") for name in ("load", "compile")}
        told = [
            f"{name} {seconds:.1f} s" for name, seconds in phases.items() if seconds is not None
        ]
        if told:
            lines[row["arm"], row["device"]] = ", ".join(told)
    return [f"{arm} on {device}: {text}" for (arm, device), text in lines.items()]


def reason_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
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


def pressure_note(pressure_pct: float | None) -> str:
    """A warning where other work took CPUs away while arms were timed, else nothing."""
    if pressure_pct is None or pressure_pct < DISTURBED_PCT:
        return ""
    return (
        f"Some task waited for a CPU during {min(pressure_pct, 100):.0f}% of the timed turns: "
        "other work was running. Intervals are wide and ratios shift, because thread pools suffer "
        "unequally (PyTorch's far more). Repeat it on a quiet machine, or with --threads 1."
    )


def _cells(row: Mapping[str, Any], effect: Mapping[str, Any] | None) -> list[str | Text]:
    memory = row.get("peak_rss_mib")
    return [
        row["workload"] or "-",
        row["arm"],
        row["device"],
        _with_interval(row.get("median_s"), row.get("ci_lo_s"), row.get("ci_hi_s"), 1e3, " ms"),
        _number(row.get("tok_s")),
        _with_interval(effect["ratio"], effect["ci_lo"], effect["ci_hi"]) if effect else "",
        f"{memory:.0f} MiB" if memory is not None else "",
        Text(row["status"], STYLES.get(row["status"], "")),
    ]


def _with_interval(
    value: float | None, low: float | None, high: float | None, scale: float = 1, unit: str = ""
) -> str:
    if value is None:
        return ""
    interval = (
        f" \\[{_number(low * scale)}, {_number(high * scale)}]"
        if low is not None and high is not None
        else ""
    )
    return f"{_number(value * scale)}{unit}{interval}"


def _number(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
