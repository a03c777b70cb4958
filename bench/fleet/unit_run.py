"""The folder of a unit's run, and what a table tells of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.fleet.sweep_plan import slug
from bench.fleet.whole_run import WholeRun
from reports.output.render import render
from reports.saved.files import write
from reports.saved.manifest import seal
from reports.saved.records import RECORDS, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reports.saved.records import Run
    from verify.fleet.unit import Done

UNITS = "units"
"""The folder of a sweep that holds a folder for each unit."""

PLACE = ("model", "workload", "arm", "device", "dtype", "threads")
FROM_ROW = ("status", "invalid_reasons", "median_s", "ci_lo_s", "ci_hi_s", "tok_s", "roofline_pct",
            "bound", "kernel_path", "runtime", "peak_rss_mib")  # fmt: skip
FROM_EFFECT = ("versus", "ratio", "ci_lo", "ci_hi", "processes", "quads", "verdict", "why")
FROM_CEILING = ("ceiling", "value", "median", "blocks", "what")


def brief(done: Done, folder: Path) -> Done:
    """Give each run of a unit a folder of its own, and keep what a table tells.

    A run that did not come to its end makes the unit one that has failed, which a sweep that is
    continued does again.

    Args:
        done: what came of a unit: a machine, and whole runs.
        folder: of the sweep.
    """
    if done.error:
        return done
    kept: list[dict[str, Any]] = []
    error = None
    for record in done.records:
        if record["record"] != "whole_run":
            kept.append(record)
            continue
        whole = WholeRun.read(record)
        run = _written(whole, folder / UNITS / slug(done.key) / whole.name)
        if run is None or run.end is None:
            error = error or whole.said or f"its run ended with exit code {whole.code}"
        if run is not None:
            kept += [_summary(whole, run, folder), *_ceilings(run), *cells(run)]
    return replace(done, records=tuple(kept), error=error)


def _written(whole: WholeRun, folder: Path) -> Run | None:
    """The run in its folder, with its page; None where it wrote no records."""
    if not whole.records:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / RECORDS, whole.records)
    run = read_run(folder)
    if run.end is not None:
        seal(folder)
    render(folder, announced=False)
    return run


def _summary(whole: WholeRun, run: Run, folder: Path) -> dict[str, Any]:
    """Which run it is, where, and whether it was disturbed."""
    end = run.end or {}
    return {
        "record": "unit_run", "name": whole.name, "run": str(run.folder.relative_to(folder)),
        "code": whole.code, "said": whole.said, "statuses": end.get("statuses") or {},
        "cpu_pressure_pct": end.get("cpu_pressure_pct"),
        "started_utc": run.header.get("started_utc"),
        "versions": run.environment.get("versions") or {},
    }  # fmt: skip


def cells(run: Run) -> Iterator[dict[str, Any]]:
    """Each arm and workload of a run: its speed, and its time over the baseline's."""
    effects: dict[tuple[Any, ...], dict[str, Any]] = {}
    for effect in run.of("effect"):
        effects.setdefault(_place(effect), effect)
    for row in run.of("row"):
        if row["workload"] is not None and "#" not in row["arm"]:
            effect = effects.get(_place(row), {})
            yield {
                "record": "cell", **{name: row.get(name) for name in (*PLACE, *FROM_ROW)},
                **{name: effect.get(name) for name in FROM_EFFECT},
            }  # fmt: skip


def _ceilings(run: Run) -> Iterator[dict[str, Any]]:
    """What the machine can do at most, apart from the shapes of one workload."""
    for ceiling in run.of("ceiling"):
        if ceiling["workload"] is None:
            names = ("device", "dtype", "threads", *FROM_CEILING)
            found = {name: ceiling[name] for name in names}
            yield {"record": "machine_ceiling", **found, "measured_in": ceiling["unit"]}


def _place(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in PLACE)
