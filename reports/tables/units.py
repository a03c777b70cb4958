"""Benchmarks that are made of units: sweeps, and tables of machines.

A unit is one record, which holds what its run came to. Tables want a record for each figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reports.tables.numbers import brief, figure, interval, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reports.saved.records import Run

    Record = Mapping[str, Any]

KINDS = ("sweep", "machines")
"""The kinds of run that are made of such units."""

DISTURBED_PCT = 5.0
"""From this share of an arm's CPU time on that others took, a reader is warned."""


def opened(run: Run) -> Run:
    """A run with a record for each machine, run, ceiling and cell of its units.

    Each names its `unit`, the `node`, and its `machine`: figures of unlike machines have unlike
    ones. Of a unit that was done twice, by a run that was continued, the last one counts.
    """
    if run.kind not in KINDS:
        return run
    last = {unit["key"]: unit for unit in run.of("unit")}
    rest = [record for record in run.records if record["record"] != "unit"]
    return replace(run, records=(*rest, *(one for unit in last.values() for one in _opened(unit))))


def _opened(unit: Record) -> Iterable[dict[str, Any]]:
    found = list(unit.get("records") or [])
    machine = next((one["machine"] for one in found if one["record"] == "machine"), "")
    place = {"unit": unit["key"], "node": unit["node"], "machine": machine}
    yield {**{name: value for name, value in unit.items() if name != "records"}, "machine": machine}
    yield from ({**one, **place} for one in found)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one cell of the matrix says.

    Attributes:
        ratio: `0.71`; the speed where it is compared with nothing; empty where it is not VALID.
        interval: `0.69 to 0.73`; empty likewise.
        verdict: FASTER, SLOWER, SAME, INCONCLUSIVE; the row's status where it is not VALID.
        why: it is not VALID, or not settled.
        shade: from -0.8 (takes twice the time or more) to 0.8 (half or less).
        run: folder of the unit's run.
    """

    ratio: str
    interval: str
    verdict: str
    why: str
    shade: float
    run: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the matrix: what it is of, and a cell for each workload."""

    model: str
    dtype: str
    threads: int
    arm: str
    versus: str
    answers: Sequence[Answer | None]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The answers of one machine.

    Attributes:
        machine: its record.
        workloads: the columns.
        lines: the arms beside the baseline, by model, dtype and threads.
    """

    machine: Record
    workloads: Sequence[str]
    lines: Sequence[Line]


def matrices(run: Run) -> list[Matrix]:
    """A matrix for each machine of an opened run, in the order of their first unit."""
    machines = {one["machine"]: one for one in reversed(run.of("machine"))}
    order = dict.fromkeys(one["machine"] for one in run.of("machine"))
    return [_matrix(run, machines[name]) for name in order]


def _matrix(run: Run, machine: Record) -> Matrix:
    cells = [cell for cell in run.of("cell") if cell["machine"] == machine["machine"]]
    folders = {one["unit"]: one["run"] for one in run.of("unit_run")}
    workloads = list(dict.fromkeys(str(cell["workload"]) for cell in cells))
    lines: dict[tuple[str, str, int, str], dict[str, Record]] = {}
    bases = {cell["versus"] for cell in cells if cell.get("versus")}
    for cell in cells:
        if cell["arm"] not in bases:
            key = cell["model"], cell["dtype"], cell["threads"], cell["arm"]
            lines.setdefault(key, {})[cell["workload"]] = cell
    return Matrix(machine, workloads, [
        Line(*key, _versus(found), [
            answer(found[name], folders) if name in found else None for name in workloads
        ])
        for key, found in sorted(lines.items(), key=lambda line: _rank(run, *line[0]))
    ])  # fmt: skip


def _rank(run: Run, model: str, dtype: str, threads: int, _: str) -> tuple[int, int, int]:
    """The place of a line as the sweep was asked for, whichever unit was done first."""
    asked = run.environment.get("sweep") or {}
    models, dtypes = (list(asked.get(name) or ()) for name in ("models", "dtypes"))
    return (
        models.index(model) if model in models else len(models),
        dtypes.index(dtype) if dtype in dtypes else len(dtypes),
        threads,
    )


def _versus(found: Mapping[str, Record]) -> str:
    return next((str(cell["versus"]) for cell in found.values() if cell.get("versus")), "")


def answer(cell: Record, folders: Mapping[str, str] | None = None) -> Answer:
    """What a cell says."""
    ratio = figure(cell.get("ratio"))
    run = (folders or {}).get(str(cell.get("unit")), "")
    if ratio is None or ratio <= 0:
        speed = figure(cell.get("tok_s"))
        if speed is not None:  # nothing to compare it with
            return Answer(f"{short(speed)} tokens/s", "", "", "", 0.0, run)
        why = "; ".join(map(str, cell.get("invalid_reasons") or []))
        return Answer("", "", str(cell.get("status")), why, 0.0, run)
    return Answer(
        brief(ratio), interval(cell.get("ci_lo"), cell.get("ci_hi")), str(cell.get("verdict")),
        str(cell.get("why") or ""), shade(ratio), run,
    )  # fmt: skip


def shade(ratio: float) -> float:
    """How much faster, as a colour's strength, on which black text is read: 0 is as fast."""
    return round(0.8 * max(-1.0, min(1.0, -math.log2(ratio))), 3)


def disturbed(run: Run) -> list[str]:
    """The units during which other programs took CPU time from the arms, in a sentence each."""
    return [
        f"{one['unit']}: while arms were timed, other programs took {share:.0f}% of their CPU time."
        for one in run.of("unit_run")
        if (share := figure(one.get("cpu_pressure_pct"))) is not None and share >= DISTURBED_PCT
    ]


def failed(run: Run) -> list[tuple[str, str]]:
    """The units that came to nothing, with the reason."""
    return [(unit["key"], unit["error"]) for unit in run.of("unit") if unit.get("error")]


def machine_name(machine: Record, many: bool = False) -> str:
    """A machine in words: `AMD EPYC (...), 2 threads, 24 GiB`; with its id where several are."""
    parts = [str(machine["cpu"]), f"{machine['usable_cpus']} CPUs", f"{machine['memory_gib']} GiB"]
    parts += [str(machine["accelerator"])] if machine.get("accelerator") else []
    return ", ".join(parts) + (f" [{machine['machine']}]" if many else "")
