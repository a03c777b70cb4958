"""`python -m bench scaling`: sweep sizes, and fit what a pass costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.commands.run import carry_out
from bench.plan.from_options import make_plans
from bench.plan.options import make_parser
from reports.commands import open_console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SWEEP = {"p": [8, 32, 128], "n": [8], "d": [8, 128], "b": [1, 4]}
FAR_PCT = 20.0


def main(argv: Sequence[str]) -> int:
    """Measure as `run` does, on more sizes, and print each arm's fit with its worst rows."""
    parser = make_parser("scaling")
    parser.set_defaults(**SWEEP)
    options = parser.parse_args(argv)
    plans, skipped = make_plans(options)
    code, records = carry_out(plans, skipped, options, ["python", "-m", "bench", "scaling", *argv])
    console = open_console()
    scaling = [record for record in records if record["record"] == "scaling"]
    if scaling:
        console.print(_table(scaling))
        for line in (line for record in scaling for line in far_lines(record)):
            console.print(line, highlight=False, markup=False)
    else:
        console.print("No arm has enough VALID rows for a fit.", style="yellow")
    return code


def _table(scaling: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("arm", "device", "threads"):
        table.add_column(name)
    for name in ("rows", "a pass, ms", "GFLOP/s", "GB/s", "typical error", "worst"):
        table.add_column(name, justify="right")
    for record in scaling:
        rates = [record["gflop_s"], record["gb_s"]]
        table.add_row(
            record["arm"], record["device"], str(record["threads"]), str(record["workloads"]),
            f"{1e3 * record['pass_s']:.3g}", *("-" if r is None else f"{r:,.1f}" for r in rates),
            f"{record['median_error_pct']:.0f}%", f"{record['worst_error_pct']:.0f}%",
        )  # fmt: skip
    return table


def far_lines(record: Mapping[str, Any]) -> list[str]:
    """Where the cost stops being explained: rows that are far from the fit."""
    return [
        f"{record['arm']}, {point['model']}, {point['workload']}: "
        f"{1e3 * point['median_s']:.3g} ms, fitted {1e3 * point['fitted_s']:.3g} ms"
        for point in record["points"]
        if abs(point["fitted_s"] / point["median_s"] - 1) > FAR_PCT / 100
    ]
