"""What was seen of the arms, from the records of a run that did not come to its end.

A run writes down what it measures as it measures it: the plan of each competition, what each
worker said when it was ready, every sample, every judged output, every block of a ceiling. That is
all that rows are made of. Runs of format 2 lack their plans, which their commands tell as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.arms.specs import CANDIDATE, labels_of, with_null
from bench.match.group import Group, group_of
from bench.plan.from_options import in_dtypes
from bench.plan.options import make_parser
from bench.plan.plan import CandidateSpec, Plan
from bench.results.unverified import unverified_of
from bench.workload.workload import Workload, workloads
from impl.config import ConfigError, GPT2Config
from reports.commands import UsageError
from reports.saved.home import runs_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bench.results.unverified import Reasons
    from reports.saved.records import Run

    Record = Mapping[str, Any]

Key = tuple[Any, Any, Any]


def groups_of(run: Run) -> list[Group]:
    """The competitions of a run, as far as they came.

    Raises:
        UsageError: where its records do not tell what was planned.
    """
    groups = {_key(record): _group(record) for record in run.of("plan")} or _older_groups(run)
    for record in run.records:
        if (key := _key(record)) in groups:
            groups[key].take(record)
    return list(groups.values())


def unverified_in(run: Run) -> Reasons:
    """By model, device and engine, why that MAX model was not verified when the run began."""
    if run.of("plan"):
        return {
            (record["model"], record["device"], record["engine"]): record["reason"]
            for record in run.of("unverified")
        }
    return unverified_of([_older_plan(run)], run.environment, runs_root())


def plan_of(record: Record) -> Plan:
    """The plan that a record holds; the reverse of `Plan.as_dict`.

    Before format 4 there was one process of each arm.
    """
    plan = {"processes": 1, **record["plan"]}
    named = plan["named"]
    plan |= {
        "config": GPT2Config(**plan["config"]),
        "workloads": [Workload(**fields) for fields in plan["workloads"]],
        "named": CandidateSpec(**named) if named else None,
    }
    return Plan(**plan)


def _key(record: Record) -> Key:
    return record.get("model"), record.get("device"), record.get("threads")


def _group(record: Record) -> Group:
    return group_of(plan_of(record), record["device"], record["threads"])


def _older_groups(run: Run) -> dict[Key, Group]:
    """Those of a run that does not begin with its plans."""
    plan = _older_plan(run)
    begun = {_key(record) for record in run.of("sample")}
    return {
        (plan.model, device, threads): group_of(plan, device, threads)
        for device, threads in plan.groups
        if (plan.model, device, threads) in begun
    }


def _older_plan(run: Run) -> Plan:
    """What was planned, from a run's command and what it ran on."""
    options, environment = _options(run), run.environment
    try:
        named = _named(environment, options)
        own = [CANDIDATE] if named and CANDIDATE not in options.arms else []
        return Plan(
            model=environment["model"],
            revision=options.revision,
            config=GPT2Config.from_dict(environment["config"]),
            weights_sha256=environment["weights_sha256"],
            devices=list(dict.fromkeys(sample["device"] for sample in run.of("sample"))),
            arms=with_null(labels_of(in_dtypes([*own, *options.arms], options.dtype))),
            workloads=workloads(options.p, options.n, options.d, options.b, options.logits),
            threads=environment["threads"],
            budget_s=options.budget,
            blocks=options.blocks,
            processes=1,
            seed=environment["seed"],
            named=named,
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise UsageError(f"{run.folder} does not say what was planned: {error}") from None


def _options(run: Run) -> argparse.Namespace:
    """The options that the run was started with, as far as this version has them."""
    words = [str(word) for word in run.header.get("command") or ()]
    command, rest = (words[3], words[4:]) if len(words) > 3 else ("run", [])
    try:
        return make_parser(command).parse_known_args(rest)[0]
    except SystemExit:
        raise UsageError(f"{run.folder}: its command cannot be read: {words}") from None


def _named(environment: Record, options: argparse.Namespace) -> CandidateSpec | None:
    if "candidate_sha256" not in environment:
        return None
    return CandidateSpec(
        candidate=environment["candidate"], sha256=environment["candidate_sha256"],
        files=environment.get("candidate_files") or {},
        pairing=options.pairing or "", output=options.output, padded_vocab=options.padded_vocab,
    )  # fmt: skip
