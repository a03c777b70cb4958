"""Runs of `verify campaign` and `verify rules`, whose work is cut into units, as rows.

A unit is one record, with the node where it was done. Of a unit that was recorded twice, the first
that did not fail counts.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.tables.numbers import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.saved.records import Run

Row = dict[str, Any]


def units_of(run: Run) -> list[Row]:
    """The units of a run, each once."""
    found: dict[str, Row] = {}
    for unit in run.of("unit"):
        known = found.get(unit["key"])
        if known is None or known["error"]:
            found[unit["key"]] = unit
    return list(found.values())


def failed_units(run: Run) -> list[Row]:
    """Units that came to nothing, with the reason in `error`."""
    return [unit for unit in units_of(run) if unit["error"]]


def within(run: Run, kind: str) -> list[Row]:
    """The records of a kind that units have found, with the unit's node and machine."""
    return [
        {**record, "node": unit["node"], "machine": unit["machine"]}
        for unit in units_of(run)
        if not unit["error"]
        for record in unit["records"]
        if record["record"] == kind
    ]


def node_rows(run: Run) -> list[Row]:
    """For each node: its CPU, units, their seconds in all and in the median, what happened to it.

    A node that was refused has no units.
    """
    units = units_of(run)
    names = dict.fromkeys([*(n["node"] for n in run.of("node")), *(u["node"] for u in units)])
    return [_node_row(run, name, [u for u in units if u["node"] == name]) for name in names]


def _node_row(run: Run, name: str, units: list[Row]) -> Row:
    news = [node for node in run.of("node") if node["node"] == name]
    seconds = [unit["seconds"] for unit in units]
    return {
        "node": name,
        "machine": next((one["machine"] for one in (*units, *news) if one["machine"]), ""),
        "units": len(units),
        "seconds": sum(seconds),
        "median_s": statistics.median(seconds) if seconds else None,
        "state": news[-1]["state"] if news else "used",
        "reason": "; ".join(dict.fromkeys(one["reason"] for one in news if one["reason"])),
    }


def seed_rows(run: Run) -> list[Row]:
    """For each seed of a campaign: what it drew, its checks, the nearest of them, its node."""
    return [row for unit in units_of(run) for row in _seed_rows(unit)]


def _seed_rows(unit: Row) -> Iterator[Row]:
    for seed in unit["records"] if not unit["error"] else ():
        if seed["record"] != "seed":
            continue
        caught = [fault["caught"] for fault in seed["faults"] if fault["applicable"]]
        used = [figure(one["used"]) for one in seed["nearest"].values()]
        yield {
            "seed": seed["seed"], "regime": seed["regime"],
            "shape": f"{seed['batch']}x{seed['length']}",
            "checks": sum(seed["checks"].values()), "false_alarms": len(seed["alarms"]),
            "used": max((one for one in used if one is not None), default=None),
            "faults_caught": sum(caught), "faults": len(caught),
            "verdict": "FAIL" if seed["alarms"] else "PASS",
            "node": unit["node"], "seconds": unit["seconds"],
        }  # fmt: skip


def frame(rows: list[Row]) -> pd.DataFrame:
    """Rows as a frame."""
    return pd.DataFrame(rows, dtype=object)
