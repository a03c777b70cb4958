"""The records of an endpoint's run, and what its `--json` writes."""

from __future__ import annotations

from typing import Literal

from reports.contract.parts import Closed, Environment, Figure, Header, Problem, Record, Verdict

State = Literal["caught", "missed", "not applicable"]


class Sample(Closed, kw_only=True):
    """A sample of drawn tokens beside the model's distribution (Pearson's chi-square)."""

    statistic: Figure
    limit: Figure
    cells: int
    found: list[int]
    expected: list[float]
    false_alarms: float


class CaseFigures(Closed, kw_only=True):
    """Questions that belong together, and what came of them."""

    name: str
    group: str
    verdict: Verdict
    answers: int
    at_once: int
    wrong: int
    tokens: int
    ties: int
    used: Figure
    status: int | None
    message: str
    sampled: Sample | None


class Case(CaseFigures, kw_only=True, tag_field="record", tag="case"):
    """The same as a record."""


class AnswerJudged(Record, kw_only=True, tag="answer"):
    """One answer."""

    case: str
    number: int
    prompt_tokens: int
    streamed: bool
    verdict: Verdict
    tokens: int
    ties: int
    used: Figure
    message: str
    position: int | None
    expected: str
    got: str
    margin: Figure


class PlantedFault(Closed, kw_only=True):
    """A fault of a simulated server, and the case that noticed it first."""

    fault: str
    state: State
    case: str
    message: str
    text: str


class Planted(PlantedFault, kw_only=True, tag_field="record", tag="planted"):
    """The same as a record."""


class FirstWrong(Closed, kw_only=True):
    """The first wrong answer: what was asked, expected, got, and by how much it is off."""

    case: str
    group: str
    message: str
    position: int | None
    expected: str
    got: str
    margin: Figure
    text: str


class Counts(Closed, kw_only=True):
    """Figures of the run as a whole."""

    cases: int
    answers: int
    wrong: int
    tokens: int
    ties: int
    used: Figure


class Inspected(Record, kw_only=True, tag="end"):
    """The last record; a run without one was interrupted."""

    verdict: Verdict
    line: str
    first_wrong: FirstWrong | None
    unchecked: list[str]
    counts: Counts
    finished_utc: str


class Endpoint(Closed, kw_only=True):
    """Of `python -m verify endpoint`."""

    schema_version: int
    verdict: Verdict
    line: str
    first_wrong: FirstWrong | None
    unchecked: list[str]
    counts: Counts
    cases: list[CaseFigures]
    planted: list[PlantedFault]
    environment: Environment
    run: str


EndpointRecord = Header | Case | AnswerJudged | Planted | Problem | Inspected
