"""What several records have in common: figures, places, the run's header."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

NotFinite = Literal["nan", "inf", "-inf"]
"""A figure that was measured and is not finite."""

Figure = float | NotFinite | None
"""Null where there is no figure."""

Absent = UnsetType
"""The type of a key that a record may lack; it is read as null then."""

Verdict = Literal["PASS", "FAIL", "ERROR", "SKIP", "UNDERPOWERED"]


class Closed(Struct, kw_only=True, forbid_unknown_fields=True):
    """An object with these keys and no others."""


class Record(Closed, kw_only=True, tag_field="record"):
    """A line of `records.jsonl`; `record` is its kind."""


class Place(Closed, kw_only=True):
    """Where a record of a benchmark was made."""

    model: str | None = None
    workload: str | None = None
    arm: str | None = None
    device: str | None = None
    dtype: str | None = None
    threads: int | None = None


class Process(Place, kw_only=True):
    """The same, of one process of an arm."""

    generation: int | None = None


class Environment(Struct, kw_only=True):
    """What ran, on what. Further entries may follow."""

    versions: dict[str, str | None]
    cpu: str
    logical_cpus: int | None
    usable_cpus: int
    cgroup_cpus: float | None
    threads: int | list[int]
    memory_bytes: int
    system: str
    commit: str | None
    dirty: bool | None
    impl_sha256: str
    judge_sha256: str
    weights_sha256: str | None
    accelerator: str | None
    cpu_flags: str | Absent = UNSET
    tf32: bool | Absent = UNSET
    model: str | Absent = UNSET
    checkpoint_notes: list[str] | Absent = UNSET
    candidate: str | Absent = UNSET
    candidate_files: dict[str, str] | Absent = UNSET
    candidate_sha256: str | Absent = UNSET
    directory: str | Absent = UNSET
    checkpoint: str | Absent = UNSET
    seed: int | Absent = UNSET
    config: dict[str, Any] | list[dict[str, Any]] | Absent = UNSET
    gpus: list[dict[str, Any]] | Absent = UNSET


class Header(Record, kw_only=True, tag="run"):
    """The first record of a run."""

    schema_version: int
    run_id: str
    kind: Literal[
        "verify", "bench", "endpoint", "campaign", "rules", "sweep", "machines", "training"
    ]
    command: list[str]
    started_utc: str
    environment: Environment


class Problem(Record, kw_only=True, tag="problem"):
    """A part of the report that could not be made; the verdict is that of the checks."""

    part: str
    error: str
