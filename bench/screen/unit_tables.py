"""What the terminal shows of benchmarks that are made of units: a matrix for each machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from bench.screen.tables import STYLES
from reports.tables.machine_rows import caches, cells_by_machine, machine_rows
from reports.tables.numbers import brief, figure, short
from reports.tables.unit_markdown import pair, words
from reports.tables.units import answer, disturbed, failed, machine_name, matrices

if TYPE_CHECKING:
    from rich.console import Console

    from reports.saved.records import Run
    from reports.tables.units import Answer, Matrix

RATIO = "Ratios are of time: below 1 the first arm is faster. [ ]: 95% interval."


def show_sweep(console: Console, run: Run) -> None:
    """Print the matrix of each machine of an opened sweep, and what a reader should know."""
    found = matrices(run)
    for matrix in found:
        name = machine_name(matrix.machine, many=len(found) > 1)
        console.print(name, highlight=False, markup=False)
        console.print(_matrix(matrix))
    if found:
        console.print(RATIO, style="dim", markup=False, highlight=False)
    _warn(console, run)


def show_machines(console: Console, run: Run) -> None:
    """Print each machine of an opened run of `bench machines`, and what a reader should know."""
    for row, (machine, cells) in zip(machine_rows(run), cells_by_machine(run), strict=True):
        console.print(
            f"{machine_name(machine, many=True)}; caches {caches(machine)}", highlight=False
        )
        console.print(
            f"  {row['flags']}; reads {short(row['read_gb_s'])} GB/s, computes "
            f"{short(row['arithmetic_gflop_s'])} GFLOP/s, multiplies matrices at "
            f"{short(row['gemm_gflop_s'])} ({short(row['gemm_bf16_gflop_s'])} in bfloat16)",
            style="dim", highlight=False,
        )  # fmt: skip
        table = _table("workload", "arm", "tokens/s", "time over")
        for cell in cells:
            said = answer(cell)
            speed = short(cell["tok_s"]) if figure(cell["tok_s"]) is not None else cell["status"]
            over = f"{cell['versus']}: {words(said)}" if cell["versus"] else ""
            table.add_row(cell["workload"], cell["arm"], speed, Text(over, _style(said)))
        console.print(table)
    _warn(console, run)


def unit_line(records: list[dict[str, object]]) -> str:
    """A unit in a line as soon as it is done: `pp32 max / torch 0.71 FASTER, ...`."""
    return ", ".join(
        f"{cell['workload']} {cell['arm']} / {cell['versus']} {brief(cell['ratio'])} "
        f"{cell['verdict']}"
        for cell in records
        if cell["record"] == "cell" and cell.get("versus")
    )


def _matrix(matrix: Matrix) -> Table:
    table = _table("model", "dtype", "threads", "time of", *matrix.workloads)
    for line in matrix.lines:
        cells = (Text(words(one), _style(one)) for one in line.answers)
        table.add_row(line.model, line.dtype, str(line.threads), pair(line), *cells)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _style(said: Answer | None) -> str:
    return STYLES.get(said.verdict, "") if said else ""


def _warn(console: Console, run: Run) -> None:
    lines = [*disturbed(run), *(f"{key}: {reason}" for key, reason in failed(run))]
    for line in lines:
        console.print(line, style="yellow", markup=False, highlight=False)
