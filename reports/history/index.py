"""`python -m reports index`: one page over all runs, and a page of trends for each machine.

The index holds every run as data, of which a browser lays out a hundred at a time: it opens as fast
with ten thousand runs as with ten. What went how is on `trends/MACHINE.html`, a machine a page, so
that no line joins two machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from reports.history.kept import read_entries
from reports.history.trends import KINDS, groups
from reports.pages.rendering import render_template
from reports.saved.files import PAGE, write
from reports.saved.records import RecordsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reports.history.entries import Entry
    from reports.history.trends import Group

INDEX = "index.html"
TRENDS = "trends"
RUNS = "runs"

MOST_ROWS = 100
"""Rows of a table that a page holds; the index lays out further ones when they are asked for."""

MOST_BROKEN = 20
KICKER = "GPT-2 in MAX: is it the same model, and is it fast?"
FOOTER = "Made from saved records by python -m reports index."


def write_index(root: Path) -> Path:
    """Write `index.html` and `trends/` into the folder that holds `runs/`.

    Returns:
        The path of the index.

    Raises:
        reports.saved.records.RecordsError: if it cannot be written.
    """
    entries = read_entries(root / RUNS)
    machines = _by_machine(groups(entries))
    _write_trends(root, machines)
    return write(root / INDEX, _index(entries, machines, root))


def index_page(root: Path) -> str:
    """The page over all runs below `root/runs`."""
    entries = read_entries(root / RUNS)
    return _index(entries, _by_machine(groups(entries)), root)


def _by_machine(found: Sequence[Group]) -> dict[str, list[Group]]:
    """By file of the page, the machine with the newest run first."""
    machines: dict[str, list[Group]] = {}
    for group in found:
        machines.setdefault(f"{group.machine.slug}.html", []).append(group)
    return machines


def _write_trends(root: Path, machines: dict[str, list[Group]]) -> None:
    """A page a machine; those of machines that have no runs any more are taken away."""
    folder = root / TRENDS
    if not machines and not folder.is_dir():
        return
    try:
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.html"):
            if old.name not in machines:
                old.unlink()
    except OSError as error:
        raise RecordsError(f"{folder} cannot be written: {error.strerror}") from error
    for name, own in machines.items():
        write(folder / name, _trend_page(own, root))


def _trend_page(own: Sequence[Group], root: Path) -> str:
    machine = own[0].machine
    runs = sum(len(group.entries) for group in own)
    return render_template(
        "trends.html",
        title=machine.name,
        kicker=KICKER,
        footer=as_called(FOOTER),
        lead=f"How the figures of {runs:,} runs on this machine went (#{machine.number}). Lines "
        "join runs of the same weights, candidate and cases.",
        index=f"../{INDEX}",
        groups=[_shown(group, root) for group in own],
    )


def _shown(group: Group, root: Path) -> dict[str, Any]:
    newest = group.entries[: -MOST_ROWS - 1 : -1]
    return {
        "title": group.title,
        "figures": group.figures,
        "places": group.places,
        "steps": group.steps,
        "entries": [_row(entry, root, "../") for entry in newest],
        "more": len(group.entries) - len(newest),
    }


def _index(entries: Sequence[Entry], machines: dict[str, list[Group]], root: Path) -> str:
    readable = [entry for entry in entries if not entry.problem][::-1]
    broken = [entry for entry in entries if entry.problem]
    return render_template(
        "index.html",
        title="Runs",
        kicker=KICKER,
        footer=as_called(FOOTER),
        lead=_lead(entries, readable, machines),
        machines=[_machine(name, own) for name, own in machines.items()],
        entries=[_row(entry, root) for entry in readable[:MOST_ROWS]],
        count=len(readable),
        page=MOST_ROWS,
        packed=_packed(readable, root) if len(readable) > MOST_ROWS else None,
        broken=broken[:MOST_BROKEN],
        broken_more=max(0, len(broken) - MOST_BROKEN),
    )


def _lead(
    entries: Sequence[Entry], readable: Sequence[Entry], machines: dict[str, list[Group]]
) -> str:
    if not entries:
        return as_called("There are no runs yet: python -m verify or python -m bench make one.")
    return (
        f"{len(readable):,} runs on {len(machines)} machine{'' if len(machines) == 1 else 's'}. "
        "Each machine has a page with how its figures went: unlike ones never share a line."
    )


def _machine(name: str, own: Sequence[Group]) -> dict[str, Any]:
    newest = max(own, key=lambda group: group.entries[-1].started)
    steps = [step for group in own for step in group.steps[:1]]
    kinds = dict.fromkeys(KINDS.get(group.kind, group.kind).lower() for group in own)
    return {
        "link": f"{TRENDS}/{name}",
        "name": newest.machine.name,
        "number": newest.machine.number,
        "runs": sum(len(group.entries) for group in own),
        "kinds": ", ".join(kinds),
        "last": newest.entries[-1].started[:10],
        "steps": sum(len(group.steps) for group in own),
        "step": steps[0] if steps else "",
    }


def _row(entry: Entry, root: Path, above: str = "") -> dict[str, str]:
    """A run in a table; with a link where it has a page."""
    page = f"{RUNS}/{entry.folder}/{PAGE}"
    return {
        "identity": entry.identity,
        "link": above + page if (root / page).is_file() else "",
        "verdict": entry.verdict,
        "title": entry.title,
        "lead": entry.lead,
        "commit": entry.commit,
        "max_version": entry.max_version,
        "machine": entry.machine.name,
    }


def _packed(entries: Sequence[Entry], root: Path) -> dict[str, Any]:
    """Every run as `_row` has it, by column; what many have alike is written once."""
    names = ("verdict", "title", "lead", "commit", "max_version", "machine")
    texts: dict[str, int] = {}
    rows = []
    with_page = _with_page(root)
    for entry in entries:
        row = {name: getattr(entry, name) for name in names if name != "machine"}
        row["machine"] = entry.machine.name
        page = f"{RUNS}/{entry.folder}/{PAGE}" if entry.folder in with_page else ""
        rows.append([entry.identity, page, *(texts.setdefault(row[n], len(texts)) for n in names)])
    return {"texts": list(texts), "rows": rows}


def _with_page(root: Path) -> set[str]:
    """Folders of runs that have a page."""
    return {page.parent.name for page in (root / RUNS).glob(f"*/{PAGE}")}
