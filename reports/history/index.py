"""`python -m reports index`: one page over all runs, with how their figures went."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from reports.history.entries import Entry, read_entries
from reports.history.trends import Group, groups
from reports.pages.rendering import render_template
from reports.saved.files import PAGE, write

if TYPE_CHECKING:
    from pathlib import Path

INDEX = "index.html"


def write_index(root: Path) -> Path:
    """Write `index.html` into the folder that holds `runs/`, and return its path.

    Raises:
        reports.saved.records.RecordsError: if it cannot be written.
    """
    return write(root / INDEX, index_page(root))


def index_page(root: Path) -> str:
    """The page over all runs below `root/runs`."""
    entries = read_entries(root / "runs")
    readable = [entry for entry in entries if entry.headline is not None]
    return render_template(
        "index.html",
        title="Runs",
        kicker="GPT-2 in MAX: is it the same model, and is it fast?",
        footer=as_called("Made from saved records by python -m reports index."),
        lead=_lead(entries, readable),
        groups=[_shown(group, root) for group in groups(entries)],
        broken=[entry for entry in entries if entry.headline is None],
    )


def _lead(entries: list[Entry], readable: list[Entry]) -> str:
    if not entries:
        return as_called("There are no runs yet: python -m verify or python -m bench make one.")
    return (
        f"{len(readable)} runs. Those on one line were measured alike: the same machine, threads, "
        "device, weights, candidate and cases. Unlike ones are apart."
    )


def _shown(group: Group, root: Path) -> dict[str, Any]:
    return {
        "title": group.title,
        "figure": group.figure,
        "places": group.places,
        "steps": group.steps,
        "entries": [_row(entry, root) for entry in group.entries],
    }


def _row(entry: Entry, root: Path) -> dict[str, str]:
    head = entry.headline
    page = entry.folder / PAGE
    return {
        "identity": entry.identity,
        "link": os.path.relpath(page, root) if page.is_file() else "",
        "verdict": head.verdict if head else "",
        "title": head.title if head else "",
        "lead": (head.diagnosis or head.lead) if head else "",
        "commit": entry.commit,
        "max_version": entry.max_version,
    }
