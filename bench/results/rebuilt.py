"""What was seen of the arms, from the records of a run that did not come to its end.

A run writes down what it measures as it measures it: the plan of each competition, what each
worker told when it was ready, every sample, every judged output, every block of a ceiling. That is
all that rows are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.match.ceiling_rates import Ceilings, Kind
from bench.match.contestant import Contestant
from bench.match.group import Group
from bench.plan.plan import CandidateSpec, Plan
from bench.workload.workload import Workload
from impl.config import GPT2Config
from reports.commands import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reports.saved.records import Run

    Record = Mapping[str, Any]


def groups_of(run: Run) -> list[Group]:
    """The competitions of a run, as far as they came.

    Raises:
        UsageError: where its records lack what rows are made of, as those of older versions do.
    """
    plans = run.of("plan")
    if not plans:
        raise UsageError(f"{run.folder} was recorded by a version that cannot be finished later")
    groups: dict[tuple[Any, Any, Any], Group] = {}
    for record in plans:
        plan = plan_of(record)
        key: tuple[Any, Any, Any] = (plan.model, record["device"], record["threads"])
        groups[key] = Group(plan, record["device"], record["threads"])
        groups[key].contestants = [
            Contestant(arm, record["device"], record["threads"], plan.model) for arm in plan.arms
        ]
    for record in run.records:
        place = record.get("model"), record.get("device"), record.get("threads")
        if place in groups and record["record"] in _TAKEN:
            _TAKEN[record["record"]](groups[place], record)
    return list(groups.values())


def unverified_of(run: Run) -> dict[tuple[str, str, str], str]:
    """By model, device and engine, why that MAX model was not verified when the run began."""
    return {
        (record["model"], record["device"], record["engine"]): record["reason"]
        for record in run.of("unverified")
    }


def plan_of(record: Record) -> Plan:
    """The plan that a record holds; the reverse of `plan_record`."""
    plan = dict(record["plan"])
    named = plan["named"]
    plan |= {
        "config": GPT2Config(**plan["config"]),
        "workloads": [Workload(**fields) for fields in plan["workloads"]],
        "named": CandidateSpec(**named) if named else None,
    }
    return Plan(**plan)


def _contestant(group: Group, record: Record) -> Contestant | None:
    return next((c for c in group.contestants if c.label == record.get("arm")), None)


def _ready(group: Group, record: Record) -> None:
    if contestant := _contestant(group, record):
        contestant.facts = dict(record["facts"])
        contestant.error, contestant.skipped = record["error"], record["skipped"]


def _phase(group: Group, record: Record) -> None:
    contestant = _contestant(group, record)
    if contestant is None:
        return
    phase, seconds, workload = record["phase"], record["seconds"], record["workload"]
    if workload is None:
        contestant.phases[f"{phase}_s"] = seconds
    elif phase == "first_call":
        contestant.first_call_s[workload] = seconds
    elif phase == "host_copy":
        contestant.host_copy_s[workload] = seconds


def _sample(group: Group, record: Record) -> None:
    if contestant := _contestant(group, record):
        contestant.samples.setdefault(record["workload"], []).append(dict(record))


def _held(group: Group, record: Record) -> None:
    """What a turn held in memory."""
    if contestant := _contestant(group, record):
        workload = next(w for w in group.plan.workloads if w.name == record["workload"])
        contestant.remember(workload, record)


def _agreement(group: Group, record: Record) -> None:
    if contestant := _contestant(group, record):
        name = record["workload"]
        contestant.judged[name] = contestant.judged.get(name, 0) + 1
        if not record["agreed"]:
            contestant.disagreements.setdefault(name, record["message"])


def _rate(group: Group, record: Record) -> None:
    if group.ceilings is None:
        group.ceilings = Ceilings(None, group.plan.model, group.device, group.threads, [])
    workloads: Iterable[Workload] = group.plan.workloads
    workload = next((w for w in workloads if w.name == record["workload"]), None)
    kind = Kind(record["ceiling"], record["dtype"], workload)
    group.ceilings.rates.setdefault(kind, []).append(record["rate"])
    group.ceilings.what[kind] = record["what"]


_TAKEN = {
    "ready": _ready,
    "phase": _phase,
    "sample": _sample,
    "held": _held,
    "agreement": _agreement,
    "rate": _rate,
}
"""What is made of each kind of record."""
