"""A pairing as a table in the terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from reference.taps import short_name
from reports.commands import WIDTH
from verify.pairing.file import collapsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verify.pairing.counterpart import Counterpart, Pairing


def pairing_table(pairing: Pairing) -> Table:
    """One row for each parameter and module of the candidate, blocks taken together."""
    table = Table(width=WIDTH, pad_edge=False, header_style="bold", row_styles=("", "dim"))
    table.add_column("the candidate's", overflow="fold")
    table.add_column("the reference's", overflow="fold")
    table.add_column("found by", overflow="fold")
    for title, found in (("parameters", pairing.weights), ("modules", pairing.places)):
        table.add_row(f"[bold]{title}[/]", "", "")
        _add(table, found)
    if pairing.loose:
        table.add_row("[bold]without counterpart[/]", "", "")
    for name, why in pairing.loose.items():
        table.add_row(name, "", why)
    for name in pairing.unheld:
        table.add_row("none", name, "")
    return table


def pairing_line(pairing: Pairing) -> str:
    """How many parameters and modules were paired, by what, and how many have no counterpart."""
    by = {name: ", ".join(_ways(found)) for name, found in
          (("parameters", pairing.weights), ("modules", pairing.places))}  # fmt: skip
    counts = {"parameters": len(pairing.weights), "modules": len(pairing.places)}
    said = [f"{counts[name]} {name} by {ways}" for name, ways in by.items() if ways]
    turned = sum(found.transposed for found in pairing.weights.values())
    line = f"Pairing: {'; '.join(said)}"
    line += f"; {turned} transposed" if turned else ""
    line += f"; {len(pairing.loose)} without counterpart" if pairing.loose else ""
    return f"{line}; not held: {', '.join(pairing.unheld)}" if pairing.unheld else line


def _ways(found: Mapping[str, Counterpart]) -> list[str]:
    """How counterparts were found, the most frequent first."""
    return [why for why, _ in Counter(one.why for one in found.values()).most_common()]


def _add(table: Table, found: Mapping[str, Counterpart]) -> None:
    """A row for each entry, blocks taken together where they were found in the same way."""
    for own, theirs in collapsed({name: f"{c} <{c.why}>" for name, c in found.items()}).items():
        name, _, why = theirs.rpartition(" <")
        table.add_row(own, escape(short_name(name)), why.rstrip(">"))
