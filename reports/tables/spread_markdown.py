"""Runs of `verify campaign` and `verify rules` as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.tables.markdown import markdown_table
from reports.tables.numbers import percent, short
from reports.tables.spread_work import frame, node_rows, seed_rows

if TYPE_CHECKING:
    from reports.saved.records import Run


def spread_markdown(run: Run) -> str:
    """The tables under a title."""
    return f"# {run.kind.capitalize()} {run.header.get('run_id', '')}\n\n{spread_tables(run)}"


def spread_tables(run: Run) -> str:
    """What came of it, then the nodes; empty where nothing was done."""
    parts = []
    if scores := (run.end or {}).get("scores"):
        parts += ["## Rules\n", markdown_table(frame(scores)), ""]
    if seeds := seed_rows(run):
        shown = [{**row, "used": percent(row["used"])} for row in seeds]
        parts += ["## Seeds\n", markdown_table(frame(shown)), ""]
    if nodes := node_rows(run):
        told = [{**row, "seconds": short(row["seconds"]), "median_s": short(row["median_s"])}
                for row in nodes]  # fmt: skip
        parts += ["## Nodes\n", markdown_table(frame(told)), ""]
    return "\n".join(parts)
