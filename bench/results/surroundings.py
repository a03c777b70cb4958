"""What a benchmark ran on, beside what every run records: the peers' versions, the accelerator."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from bench.arms import tf32
from bench.arms.specs import spec_of
from bench.peers import folder
from bench.results.gpus import describe_gpus
from reports.saved.environment import collect
from verify.candidate.own_files import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan.plan import Plan

PEER_PACKAGES = ("onnxruntime", "openvino", "ctranslate2", "llama_cpp_python")


def environment_of(plans: Sequence[Plan]) -> dict[str, Any]:
    """The environment of a run, as `reports/SCHEMA.md` lists it."""
    first = plans[0]
    accelerator = next((name for name in first.devices if name != "cpu"), None)
    several = len(plans) > 1
    environment = collect(
        weights_sha256=first.weights_sha256,
        accelerator=accelerator,
        extra={
            "model": ", ".join(plan.model for plan in plans),
            "config": [asdict(p.config) for p in plans] if several else asdict(first.config),
            "checkpoint_notes": [note for plan in plans for note in plan.notes],
            "seed": first.seed,
            "threads": list(first.threads),
            "gpus": describe_gpus() if accelerator else [],
            **({"tf32": chosen} if (chosen := tf32.allowed()) is not None else {}),
            **_candidate(first),
        },
    )
    if any(spec_of(arm).peer for arm in first.arms):
        environment["versions"] |= peer_versions()
    return environment


def _candidate(plan: Plan) -> dict[str, Any]:
    return {} if plan.named is None else described(plan.named.candidate, plan.named.files)


def peer_versions() -> dict[str, str | None]:
    """Versions of what is installed in the peers' environment, read from its files."""
    places = [str(path) for path in folder().glob("lib/python*/site-packages")]
    found = {d.name.replace("-", "_"): d.version for d in distributions(path=places)}
    return {name: found.get(name) for name in PEER_PACKAGES}
