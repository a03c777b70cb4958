"""What `--json` writes, by command."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from reports.contract.measuring import (
    CeilingFigures,
    EffectFigures,
    NullFigures,
    PairFigures,
    RowFigures,
    ScalingFigures,
)
from reports.contract.parts import Absent, Closed, Environment, Figure, Verdict
from reports.contract.verifying import (
    Answer,
    Compared,
    Coverage,
    Divergence,
    Finding,
    Graph,
    Mutants,
    Power,
)

Reason = str


class Largest(Closed, kw_only=True):
    """The largest difference that tapping made to a logit."""

    max_abs: Figure


class Verified(Closed, kw_only=True):
    """Of `python -m verify` and `python -m verify package`."""

    schema_version: int
    verdict: Verdict
    compiled: bool
    first_divergence: Divergence | None
    coverage: Coverage
    notes: list[str]
    observer_effect: Largest
    power: Power
    mutants: Mutants
    findings: list[Finding]
    checks: list[Compared]
    environment: Environment
    answers: dict[str, Answer] | Absent = UNSET
    graph: Graph | Absent | None = UNSET
    run: str | Absent = UNSET


class SourcePlace(Closed, kw_only=True):
    """A line of the user's."""

    file: str
    line: int


class Unjudged(Closed, kw_only=True):
    """Of a command of `python -m verify` that came to no verdict, with the reason."""

    schema_version: int
    verdict: Literal["ERROR"]
    reason: Reason
    first_divergence: None
    checks: list[Compared]
    place: SourcePlace | Absent = UNSET


class Measured(Closed, kw_only=True):
    """Of `python -m bench`. `null` is that of the first workload; `nulls` has each.

    `answers` are the first lines: a sentence for each model, device and number of threads.
    """

    schema_version: int
    answers: list[str]
    rows: list[RowFigures]
    effects: list[EffectFigures]
    pairs: list[PairFigures]
    null: FirstNull
    nulls: list[NullFigures]
    ceilings: dict[str, CeilingFigures]
    scaling: list[ScalingFigures]
    environment: Environment


class FirstNull(Closed, kw_only=True):
    """The null of the first workload; nothing but nulls where there is none."""

    arm: str | None
    ratio: Figure
    ci_lo: Figure
    ci_hi: Figure
    failed: bool | None


class Unmeasured(Closed, kw_only=True):
    """Of a command of `python -m bench` that could not be run, with the reason."""

    schema_version: int
    verdict: Literal["ERROR"]
    reason: Reason
    rows: list[RowFigures]
    effects: list[EffectFigures]


class StepPhase(Closed, kw_only=True):
    """One phase of a step: whether it passed, else why not and where to look.

    `hints` begin with `hint`, and each says more; `task` is the TODO of the file that it is about.
    """

    title: str
    passed: bool
    problem: str
    hint: str
    notes: list[str]
    said: str
    hints: list[str]
    task: int | None


class Step(Closed, kw_only=True):
    """Of `python -m verify step N FILE`."""

    verdict: Literal["PASS", "FAIL"]
    step: int
    title: str
    phases: list[StepPhase]


class StepOfAll(Closed, kw_only=True):
    """One of the steps; MISSING where there is no file, ERROR with the reason."""

    verdict: Literal["PASS", "FAIL", "ERROR", "MISSING"]
    step: int
    file: str | None
    phases: list[StepPhase] | Absent = UNSET
    title: str | Absent = UNSET
    reason: Reason | Absent = UNSET
    schema_version: int | Absent = UNSET
    first_divergence: Absent | None = UNSET
    checks: list[Compared] | Absent = UNSET


class Steps(Closed, kw_only=True):
    """Of `python -m verify steps FOLDER`."""

    verdict: Literal["PASS", "FAIL"]
    steps: list[StepOfAll]


class LearnPhase(Closed, kw_only=True):
    """One phase of the current step; `hints` are those that have been taken, `task` is the TODO."""

    title: str
    passed: bool
    problem: str
    hints: list[str]
    notes: list[str]
    said: str
    task: int | None


class LearnStep(Closed, kw_only=True):
    """How one step stands: `changed` since it passed, which was at `passed`; the help taken."""

    step: int
    title: str
    standing: Literal["done", "changed", "begun", "open"]
    file: str | None
    passed: str | None
    hints: int
    solution: str | None


class Learning(Closed, kw_only=True):
    """Of `python -m verify learn`: the current step as it was checked now, and all of them.

    `step` is null where none is open; `whole`: the model of the twelve is verified as it is.
    `verdict` is of the step's check; without one, of the whole or of all twelve.
    """

    verdict: Verdict
    step: int | None
    compiled: bool
    phases: list[LearnPhase]
    whole: bool
    steps: list[LearnStep]
    reason: Reason | Absent = UNSET


class FalseAlarm(Closed, kw_only=True):
    """A correct evaluation that the rule rejected, or came near to rejecting."""

    seed: int
    regime: str
    case: str
    mode: str
    tap: str
    used: Figure
    message: str


class Orders(Closed, kw_only=True):
    """How many evaluations in other legitimate orders there were, and how many were rejected."""

    runs: int
    false: int


class Caught(Closed, kw_only=True):
    """Of the faults that show in a state of the weights, how many were caught."""

    caught: int
    applicable: int


class CampaignFigures(Closed, kw_only=True):
    """What a campaign counted."""

    seeds: int
    checks: dict[str, int]
    false_alarms: list[FalseAlarm]
    nearest: dict[str, FalseAlarm]
    other_orders: Orders
    faults: dict[str, Caught]
    missed: list[str]
    passed: bool


class Campaign(CampaignFigures, kw_only=True):
    """Of `python -m verify campaign`; `machines` has the figures by CPU, where they are unlike."""

    machines: dict[str, CampaignFigures] | Absent = UNSET


class Replayed(Closed, kw_only=True):
    """Of `python -m verify replay`: PASS where the replay holds."""

    schema_version: int
    verdict: Literal["PASS", "FAIL"]
    run: str
    before: Verdict
    now: Verdict | None
    changed: list[str]
    unlike: list[str]
    checks: int
    same_to_the_bit: int


VerifyOutcome = Verified | Unjudged
BenchOutcome = Measured | Unmeasured
