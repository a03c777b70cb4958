"""The records of a verification, and those of the atlas."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET

from reports.contract.parts import Absent, Closed, Figure, Header, Problem, Record, Verdict

State = Literal["caught", "missed", "equivalent", "unjudged"]


class Compared(Closed, kw_only=True):
    """One comparison: where it was made, what came of it, and every figure of it."""

    case: str
    mode: str
    tap: str
    verdict: Verdict
    regime: str | None
    device: str | None
    batch: int | None
    length: int | None
    layer: int | None
    shape: list[int] | None
    dtype: str | None
    max_abs: Figure
    rms: Figure
    relative: Figure
    ulp: Figure
    cosine: Figure
    torch_max_abs: Figure
    torch_rms: Figure
    torch_relative: Figure
    torch_ulp: Figure
    torch_cosine: Figure
    envelope_max: Figure
    envelope_rms: Figure
    ratio: Figure
    used: Figure
    message: str
    details: dict[str, Any] | None
    bits: Figure


class Check(Compared, kw_only=True, tag_field="record", tag="check"):
    """One comparison, of the run's model and seed."""

    model: str
    seed: int


class Sighting(Closed, kw_only=True):
    """Where a planted fault was seen, and by what margin."""

    fault: str
    expected: str
    blamed: str | None
    margin: Figure
    applicable: bool
    by: str
    case: str
    caught: bool


class Fault(Sighting, kw_only=True, tag_field="record", tag="fault"):
    """One planted fault in one state of the weights."""

    regime: str


class Finding(Record, kw_only=True, tag="finding"):
    """What some failing stages compute instead; the first is the run's diagnosis."""

    tap: str
    text: str
    ids: list[str]
    stages: int
    of: int


class Operation(Closed, kw_only=True):
    """One operation of a listing; the first that departs is the one to look at."""

    kind: str
    operands: str
    shape: str
    place: str
    code: str
    quantity: str
    departs: bool
    file: str | Absent = UNSET
    line: int | Absent = UNSET


class Graph(Record, kw_only=True, tag="graph"):
    """The operations that compute the first failing stage."""

    tap: str
    case: str
    dtype: str
    summary: str
    operations: list[Operation]


class Mutant(Record, kw_only=True, tag="mutant"):
    """One change of the traced graph."""

    mutant: str
    kind: str
    operation: str
    place: str | None
    found: str
    expected: str
    blamed: str | None
    margin: Figure
    state: State
    differs: str
    case: str | None
    judged: int


class Counterpart(Closed, kw_only=True):
    """What stands for one of a candidate's parameters or modules, or for one in each block."""

    own: str
    theirs: str
    part: Literal["", "query", "key", "value"]
    transposed: bool
    by: Literal["path", "name", "shape", "order", "parameters", "structure", "value", "file"]


class Loose(Closed, kw_only=True):
    """A module of the candidate's without a counterpart, and why."""

    name: str
    reason: str


class Pairing(Record, kw_only=True, tag="pairing"):
    """Which of a candidate's names stand for which of the reference's."""

    weights: list[Counterpart]
    modules: list[Counterpart]
    loose: list[Loose]
    unheld: list[str]
    spared: list[str]


class Divergence(Closed, kw_only=True):
    """The first place that is wrong, and whose fault that is where somebody can tell."""

    case: str
    tap: str
    message: str
    diagnosis: str | None
    blame: str | None
    blamed_on: Literal["compiler", "graph", "precision"] | None


class Excused(Closed, kw_only=True):
    """A place that was not compared, and why not."""

    tap: str
    reason: str


class Coverage(Closed, kw_only=True):
    """How many of the reference's places were compared."""

    expected: int
    compared: int
    excused: list[Excused]


class Power(Closed, kw_only=True):
    """What the run would have noticed: by planted fault, its best sighting."""

    faults: dict[str, Sighting]
    false_alarms: int
    runs: int


class Mutants(Closed, kw_only=True):
    """How many mutants the graph has, how many were judged, and what came of them."""

    total: int
    judged: int
    caught: int
    missed: int
    equivalent: int
    unjudged: int


class Answer(Closed, kw_only=True):
    """One answer about an architecture package."""

    verdict: Verdict
    seconds: float


class End(Record, kw_only=True, tag="end"):
    """The last record; a run without one was interrupted."""

    verdict: Verdict
    compiled: bool
    devices: list[str]
    dtypes: list[str]
    first_divergence: Divergence | None
    coverage: Coverage
    notes: list[str]
    observer_effect: Figure
    power: Power
    mutants: Mutants
    order: list[str]
    finished_utc: str
    answers: dict[str, Answer] | Absent = UNSET


class Architecture(Record, kw_only=True, tag="architecture"):
    """One architecture of the atlas (`architectures.jsonl`)."""

    name: str
    seed: int
    seconds: float
    verdict: Verdict
    reason: str
    answers: dict[str, Answer] | Absent = UNSET
    mutants: Mutants | Absent | None = UNSET
    relative: Figure | Absent = UNSET
    node: str | Absent = UNSET
    machine: str | Absent = UNSET


VerifyRecord = Header | Check | Fault | Finding | Graph | Mutant | Pairing | Problem | End
