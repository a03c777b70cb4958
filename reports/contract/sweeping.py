"""The records of benchmarks that are made of units, `sweep` and `machines`, and their `--json`."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from reports.contract.measuring import Comparison
from reports.contract.parts import Absent, Closed, Environment, Figure, Header, Place, Record
from reports.contract.spreading import NodeSeen


class Hardware(Closed, kw_only=True):
    """What tells one machine from another; like ones have the same `machine`."""

    machine: str
    cpu: str
    flags: list[str]
    caches: dict[str, int]
    cores: int | None
    logical_cpus: int | None
    usable_cpus: int
    cgroup_cpus: float | None
    memory_gib: int
    system: str
    accelerator: str | None


class Machine(Hardware, kw_only=True, tag_field="record", tag="machine"):
    """Where a unit was measured."""


class UnitRun(Record, kw_only=True, tag="unit_run"):
    """A whole run of a unit, in a folder of its own below the sweep's."""

    name: str
    run: str
    code: int
    said: str
    statuses: dict[str, int]
    cpu_pressure_pct: Figure
    started_utc: str
    versions: dict[str, str | None]


class CellFigures(Place, kw_only=True):
    """One arm and workload of a unit's run: its speed, and its time over the baseline's."""

    status: Literal["VALID", "INVALID", "ERROR", "SKIP"]
    invalid_reasons: list[str]
    median_s: Figure
    ci_lo_s: Figure
    ci_hi_s: Figure
    tok_s: Figure
    roofline_pct: Figure
    bound: Literal["compute", "memory"] | None
    kernel_path: str | None
    runtime: str | None
    peak_rss_mib: Figure
    versus: str | None
    ratio: Figure
    ci_lo: Figure
    ci_hi: Figure
    processes: int | None
    quads: int | None
    verdict: Comparison | None
    why: str | None


class Cell(CellFigures, kw_only=True, tag_field="record", tag="cell"):
    """One arm and workload of a unit's run."""


class MachineCeiling(Record, kw_only=True, tag="machine_ceiling"):
    """What a machine can do at most, by the best block of a unit's run."""

    device: str
    dtype: str
    threads: int
    ceiling: str
    measured_in: Literal["GB/s", "GFLOP/s"]
    value: float
    median: float
    blocks: int
    what: str


class MeasuredUnit(Record, kw_only=True, tag="unit"):
    """A unit of work, whole, with what it came to."""

    key: str
    sha256: str
    node: str
    machine: str
    seconds: float
    error: str | None
    records: list[Machine | UnitRun | Cell | MachineCeiling]


class SweepEnd(Record, kw_only=True, tag="end"):
    """The last record; a sweep with units that failed has none, and is continued."""

    units: int
    statuses: dict[str, int]
    finished_utc: str


SweepRecord = Header | MeasuredUnit | NodeSeen | SweepEnd


class OneCell(CellFigures, kw_only=True):
    """The same, with where it was measured."""

    unit: str
    node: str
    machine: str


class OneMachine(Hardware, kw_only=True):
    """The same, with the unit that was measured there."""

    unit: str
    node: str


class OneCeiling(Closed, kw_only=True):
    """The same, with where it was measured."""

    unit: str
    node: str
    machine: str
    device: str
    dtype: str
    threads: int
    ceiling: str
    measured_in: Literal["GB/s", "GFLOP/s"]
    value: float
    median: float
    blocks: int
    what: str


class FailedUnit(Closed, kw_only=True):
    """A unit that came to nothing, with the reason."""

    unit: str
    reason: str


class Swept(Closed, kw_only=True):
    """Of `python -m bench sweep` and `python -m bench machines`."""

    schema_version: int
    cells: list[OneCell]
    machines: list[OneMachine]
    ceilings: list[OneCeiling]
    failed: list[FailedUnit]
    run: str
    environment: Environment | Absent = UNSET
