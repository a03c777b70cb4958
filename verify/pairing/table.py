"""A pairing as a table in the terminal."""

from __future__ import annotations

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


def _add(table: Table, found: Mapping[str, Counterpart]) -> None:
    """A row for each entry, blocks taken together where they were found in the same way."""
    for own, theirs in collapsed({name: f"{c} <{c.why}>" for name, c in found.items()}).items():
        name, _, why = theirs.rpartition(" <")
        table.add_row(own, escape(short_name(name)), why.rstrip(">"))
