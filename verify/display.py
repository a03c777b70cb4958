"""What a person sees of a run in the terminal."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from reference.taps import INPUT
from reports.commands import WIDTH
from reports.tables.kinds import MODES, seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from verify.judge.verdict import Check
    from verify.outcome import Outcome

LEGEND = """\
error, PyTorch's: rms distance to float64 of each stage alone, in its worst case. used: share of
the allowed error. free run: the same behind all earlier stages. <- is what the module is given."""
STYLES = {"PASS": "green", "FAIL": "bold red", "ERROR": "bold red", "SKIP": "yellow"}
"""Colours of verdicts; UNDERPOWERED is yellow too."""
_SEVERITY = {"PASS": 0, "SKIP": 1, "UNDERPOWERED": 2, "ERROR": 3, "FAIL": 4}


def worst(checks: Iterable[Check]) -> Check:
    """The check with the gravest verdict, then with the largest share of the allowed error."""
    return max(checks, key=lambda c: (_SEVERITY[c.verdict], c.used is None, _finite(c.used)))


def _finite(used: float | None) -> float:
    return float("inf") if used is None or used != used else used


def layer_table(outcome: Outcome) -> Table:
    """One row for each computed tap: the worst of all cases, in isolation and running free."""
    grouped: dict[str, dict[str, list[Check]]] = defaultdict(lambda: defaultdict(list))
    for check in outcome.checks:
        if check.mode in ("isolated", "free"):
            grouped[check.tap][check.mode].append(check)
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("tap", overflow="fold", min_width=22)  # long names fold, figures never
    for name in ("worst shape", "error", "PyTorch's", "used", "free run", "verdict"):
        table.add_column(name, justify="right", no_wrap=True)
    for tap in outcome.order:
        modes = grouped[tap]
        if modes["isolated"] and (_computed(modes) or _failed(modes)):
            table.add_row(*_layer_row(tap, modes))
    return table


def _computed(modes: dict[str, list[Check]]) -> bool:
    """Whether something is computed here, rather than passed on."""
    return any(check.envelope_rms for check in modes["isolated"])


def _failed(modes: dict[str, list[Check]]) -> bool:
    return any(check.verdict != "PASS" for check in modes["isolated"])


def _layer_row(tap: str, modes: dict[str, list[Check]]) -> list[str | Text]:
    isolated = worst(modes["isolated"])
    free = worst(modes["free"]) if modes["free"] else None
    return [
        short_name(tap),
        "x".join(map(str, isolated.shape or ())),
        number(isolated.rms),
        number(isolated.torch_rms),
        percent(isolated.used),
        Text(percent(free.used), "" if free.verdict == "PASS" else "red") if free else "",
        Text(isolated.verdict, STYLES.get(isolated.verdict, "yellow")),
    ]


def short_name(tap: str) -> str:
    """`transformer.h.0.attn.c_proj:input` as `h.0.attn.c_proj <-`."""
    return tap.removeprefix("transformer.").replace(INPUT, " <-")


def number(value: float | None) -> str:
    """Three digits, or a dash where there is nothing."""
    return "-" if value is None else f"{value:.2e}"


def percent(value: float | None) -> str:
    """A share in percent; from 10 times on as a multiple."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.0%}"
    return f"{value:,.0f}x" if value < 1e6 else f"{value:.0e}x"


def summary_table(outcome: Outcome) -> Table:
    """One row for each kind of check."""
    grouped: dict[str, list[Check]] = defaultdict(list)
    for check in outcome.checks:
        grouped[check.mode].append(check)
    table = Table(width=WIDTH, pad_edge=False, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("passed", justify="right", no_wrap=True)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for mode, checks in grouped.items():
        gravest = worst(checks)
        passed = sum(check.verdict == "PASS" for check in checks)
        table.add_row(
            MODES.get(mode, mode),
            f"{passed}/{len(checks)}",
            percent(max((_finite(c.used) for c in checks if c.used is not None), default=None)),
            Text(gravest.verdict, STYLES.get(gravest.verdict, "yellow")),
            Text(seen(mode, [check.record() for check in checks], gravest.record())),
        )
    return table


def _margin(check: Check) -> float:
    return float((check.details or {}).get("margin", 0.0))


def power_table(outcome: Outcome) -> Table:
    """One row for each fault: was it caught, blamed on the right place, and by what margin."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("planted fault", no_wrap=True)
    table.add_column("blamed on", no_wrap=True)
    table.add_column("margin", justify="right", no_wrap=True)
    table.add_column("in MAX", justify="right", no_wrap=True)
    table.add_column("told", no_wrap=True)
    table.add_column("what is computed instead", overflow="fold")
    for check in outcome.checks:
        if check.mode == "power":
            in_max = next(
                (c for c in outcome.checks if (c.mode, c.case) == ("max-power", check.case)), None
            )
            table.add_row(*_power_row(check, in_max))
    return table


def _power_row(check: Check, in_max: Check | None) -> list[str | Text]:
    verdict = Text(check.verdict, STYLES.get(check.verdict, "yellow"))
    details = check.details
    if not details:
        return [check.case, "", "", "", verdict, Text(check.message)]
    return [
        check.case,
        short_name(details["blamed"] or "-"),
        _multiple(_margin(check)),
        _multiple(_margin(in_max)) if in_max else "",
        verdict,
        Text(details["found"]),
    ]


def _multiple(margin: float) -> str:
    return f"{margin:,.0f}" if margin < 1e6 else f"{margin:.0e}"


def show(console: Console, outcome: Outcome, *, power: bool = False) -> None:
    """Print the layer table, the summary, the coverage and the verdict; on request the faults."""
    if power:
        console.print(power_table(outcome))
    console.print(layer_table(outcome))
    console.print(LEGEND, style="dim")
    console.print(summary_table(outcome))
    console.print(coverage_line(outcome))
    divergence = outcome.first_divergence
    if divergence:
        console.print(Text(f"First divergence: {divergence.message}", "bold red"))
        if divergence.diagnosis:
            console.print(Text(f"Diagnosis: {divergence.diagnosis}", "bold red"))
    verdict = outcome.verdict
    console.print(Text(f"Verdict: {verdict}", STYLES.get(verdict, "bold yellow")))


def coverage_line(outcome: Outcome) -> str:
    """How many of the reference's places were compared, in a sentence."""
    coverage = outcome.coverage()
    by_reason: dict[str, int] = defaultdict(int)
    for excuse in coverage["excused"]:
        by_reason[excuse["reason"]] += 1
    excused = "; ".join(f"{count} excused: {reason}" for reason, count in by_reason.items())
    line = f"Coverage: {coverage['compared']} of {coverage['expected']} places compared"
    return f"{line}; {excused}" if excused else line
