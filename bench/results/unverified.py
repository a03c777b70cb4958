"""Why the MAX models of a run are not verified: their rows will have no speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.arms import tf32
from bench.arms.specs import CANDIDATE, spec_of
from bench.judge.validity import Verified, why_unverified
from reports.commands import as_called
from verify.candidate.factory import named_file
from verify.candidate.guard import CandidateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.plan.plan import Plan

Reasons = dict[tuple[str, str, str], str]
"""By model, device and engine, why that MAX model is not verified; empty if it is."""


def unverified_of(plans: Sequence[Plan], environment: Mapping[str, Any], root: Path) -> Reasons:
    """Look for a verification of every MAX model.

    Args:
        plans: what is measured.
        environment: of the run, whose code and MAX must have been verified.
        root: holds the runs of `python -m verify`.
    """
    return {
        (plan.model, device, engine): why_unverified(
            Verified(
                command=_verify_command(plan, engine, device),
                weights_sha256=plan.weights_sha256,
                impl_sha256=environment["impl_sha256"],
                max_version=environment["versions"]["max"],
                device=device,
                engine="" if engine == CANDIDATE else engine,
                config=plan.config,
                tf32=device != "cpu" and bool(tf32.allowed()),
                **_named(plan, engine),
            ),
            root,
        )
        for plan in plans
        for device in plan.devices
        for engine in dict.fromkeys(spec_of(arm).engine for arm in plan.arms if _candidate(arm))
    }


def of_plan(reasons: Reasons, plan: Plan) -> dict[tuple[str, str], str]:
    """Those of one plan, by device and engine."""
    return {
        (device, engine): text
        for (model, device, engine), text in reasons.items()
        if model == plan.model
    }


def _named(plan: Plan, engine: str) -> dict[str, Any]:
    """Whose files must have been verified, where it is not impl's model."""
    if engine != CANDIDATE or plan.named is None:
        return {}
    named = plan.named.candidate
    try:
        return {"candidate": named, "candidate_file": named_file(named)}
    except CandidateError:  # a run that is finished later, of a file that is gone
        return {"candidate": named}


def _candidate(arm: str) -> bool:
    return spec_of(arm).candidate


def _verify_command(plan: Plan, engine: str, device: str) -> str:
    parts = [as_called("python -m verify --model"), plan.model]
    parts += ["--revision", plan.revision] if plan.revision else []
    parts += ["--tf32"] if device != "cpu" and tf32.allowed() else []
    if engine == CANDIDATE and plan.named:
        return " ".join([*parts, *plan.named.arguments])
    parts += ["--engines", engine] if engine not in ("", "auto") else []  # auto is the default
    return " ".join(parts)
