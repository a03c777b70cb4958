"""A pairing as rows, blocks taken together: in the terminal, and as a record for the page."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from reference.taps import short_name
from reports.commands import WIDTH
from verify.pairing.counterpart import Counterpart
from verify.pairing.file import collapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from verify.pairing.counterpart import Pairing


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
    for name, why in loose_together(pairing.loose).items():
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


def together(found: Mapping[str, Counterpart]) -> dict[str, Counterpart]:
    """Entries with those of all blocks as one, `{layer}` for the number, where they are alike.

    Args:
        found: counterparts by the candidate's own name.
    """
    parts = {name: (c.part, c.transposed, c.why) for name, c in found.items()}
    alike = {kind: {name: c.name for name, c in found.items() if parts[name] == kind}
             for kind in dict.fromkeys(parts.values())}  # fmt: skip
    rows = {
        own: Counterpart(theirs, *kind)
        for kind, entries in alike.items()
        for own, theirs in collapsed(entries).items()
    }
    return dict(sorted(rows.items(), key=lambda row: _first_of(row[0], found)))


def _first_of(own: str, names: Iterable[str]) -> int:
    """Where the first name stands that a name with `{layer}` is for."""
    pattern = re.compile(re.sub(r"\\\{layer.*?\\\}", r"\\d+", re.escape(own)))
    return next(n for n, name in enumerate(names) if pattern.fullmatch(name))


def _numberless(name: str) -> str:
    """A name with `{n}` for each number, and for what stands for a number."""
    return re.sub(r"\{layer[^}]*\}|\d+", "{n}", name)


def loose_together(loose: Mapping[str, str]) -> dict[str, str]:
    """Calls without a counterpart, with the reason; those of several blocks as one."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name, why in loose.items():
        alike.setdefault((_numberless(name), _numberless(why)), []).append(name)
    return {
        (names[0] if len(names) == 1 else f"{template} ({len(names)} of them)"): loose[names[0]]
        for (template, _), names in alike.items()
    }


def pairing_record(pairing: Pairing) -> dict[str, Any]:
    """The pairing as records have it: rows as the terminal shows them."""
    return {
        "record": "pairing",
        "weights": _rows(pairing.weights),
        "modules": _rows(pairing.places),
        "loose": [
            {"name": name, "reason": why} for name, why in loose_together(pairing.loose).items()
        ],
        "unheld": list(pairing.unheld),
        "spared": list(pairing.spared),
    }


def _rows(found: Mapping[str, Counterpart]) -> list[dict[str, Any]]:
    return [
        {"own": own, "theirs": c.name, "part": c.part, "transposed": c.transposed, "by": c.why}
        for own, c in together(found).items()
    ]


def _add(table: Table, found: Mapping[str, Counterpart]) -> None:
    """A row for each entry, blocks taken together where they were found in the same way."""
    for own, counterpart in together(found).items():
        theirs = replace(counterpart, name=short_name(counterpart.name))
        table.add_row(own, escape(str(theirs)), counterpart.why)
