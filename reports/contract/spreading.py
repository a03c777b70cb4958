"""The records of runs that are made of units of work, `campaign` and `rules`."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from reports.contract.outcomes import CampaignFigures, FalseAlarm, Orders
from reports.contract.parts import Absent, Closed, Header, Problem, Record
from reports.contract.verifying import Fault


class NodeSeen(Record, kw_only=True, tag="node"):
    """Something that happened to a node of a cluster."""

    node: str
    state: Literal["used", "refused", "busy", "lost"]
    reason: str
    machine: str
    cpus: int


class Seed(Record, kw_only=True, tag="seed"):
    """One seed judged: what it drew, and its tally. `verdicts` has a letter for each check."""

    seed: int
    regime: str
    batch: int
    length: int
    checks: dict[str, int]
    verdicts: dict[str, str]
    nearest: dict[str, FalseAlarm]
    alarms: list[FalseAlarm]
    other_orders: Orders
    faults: list[Fault]


class RuleCatch(Record, kw_only=True, tag="catch"):
    """What a rule made of a planted fault; `right` is null where it cannot blame a place."""

    rule: str
    regime: str
    case: str
    fault: str
    applicable: bool
    caught: bool
    right: bool | None


class RuleAlarm(Record, kw_only=True, tag="alarm"):
    """What a rule made of a correct run: the first place that it rejected, or null."""

    rule: str
    regime: str
    run: str
    rejected: str | None


class SpreadUnit(Record, kw_only=True, tag="unit"):
    """A unit of work, whole, with what it found; `error` is null where it was done."""

    key: str
    sha256: str
    node: str
    machine: str
    seconds: float
    error: str | None
    records: list[Seed | RuleCatch | RuleAlarm]


class CampaignEnd(CampaignFigures, kw_only=True, tag_field="record", tag="end"):
    """The last record of a campaign; one that is not complete has none, and is continued."""

    verdict: Literal["PASS", "FAIL"]
    finished_utc: str
    machines: dict[str, CampaignFigures] | Absent = UNSET


class Score(Closed, kw_only=True):
    """Of a rule: faults caught, those blamed on the right place, and correct runs rejected."""

    rule: str
    caught: int
    right: int | None
    false: int
    runs: int


class RulesEnd(Record, kw_only=True, tag="end"):
    """The last record of a contest of rules."""

    verdict: Literal["PASS", "FAIL"]
    applicable: int
    scores: list[Score]
    finished_utc: str


CampaignRecord = Header | SpreadUnit | NodeSeen | CampaignEnd | Problem
RulesRecord = Header | SpreadUnit | NodeSeen | RulesEnd | Problem
