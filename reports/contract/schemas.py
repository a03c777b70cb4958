"""JSON Schemas (draft 2020-12) of records and of `--json`, made from the types of this room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec

from reports.contract import outcomes
from reports.contract.asking import Endpoint, EndpointRecord
from reports.contract.comparing import Diffed, SpeedsCompared
from reports.contract.loading import Loaded, LoadRecord
from reports.contract.measuring import BenchRecord
from reports.contract.spreading import CampaignRecord, RulesRecord
from reports.contract.sweeping import SweepRecord, Swept
from reports.contract.tuning import FineTuned, TrainingRecord, TrainingVerified
from reports.contract.verifying import Architecture, VerifyRecord
from reports.saved.records import SCHEMA_VERSION

DRAFT = "https://json-schema.org/draft/2020-12/schema"

SOURCES: dict[str, tuple[str, tuple[type, ...]]] = {
    "verify-records": ("A line of a verification's records.jsonl", get_args(VerifyRecord)),
    "endpoint-records": ("A line of an endpoint's records.jsonl", get_args(EndpointRecord)),
    "bench-records": (
        "A line of a benchmark's records.jsonl", (*get_args(BenchRecord), *get_args(LoadRecord))
    ),
    "campaign-records": ("A line of a campaign's records.jsonl", get_args(CampaignRecord)),
    "rules-records": (
        "A line of the records.jsonl of a contest of rules", get_args(RulesRecord)
    ),
    "sweep-records": ("A line of a sweep's records.jsonl", get_args(SweepRecord)),
    "machines-records": (
        "A line of the records.jsonl of a table of machines", get_args(SweepRecord)
    ),
    "training-records": (
        "A line of the records.jsonl of verify training", get_args(TrainingRecord)
    ),
    "atlas-records": ("A line of an atlas's architectures.jsonl", (Architecture,)),
    "verify": (
        "What --json of python -m verify and of its command package writes",
        (outcomes.Verified, outcomes.Unjudged),
    ),
    "bench": (
        "What --json of python -m bench writes", (outcomes.Measured, outcomes.Unmeasured)
    ),
    "endpoint": (
        "What --json of python -m verify endpoint writes", (Endpoint, outcomes.Unjudged)
    ),
    "finetune": ("A fine-tuning's training.json", (FineTuned,)),
    "training": (
        "What --json of python -m verify training writes", (TrainingVerified, outcomes.Unjudged)
    ),
    "serve": ("What --json of python -m bench serve writes", (Loaded, outcomes.Unmeasured)),
    "sweep": (
        "What --json of python -m bench sweep and python -m bench machines writes",
        (Swept, outcomes.Unmeasured),
    ),
    "step": ("What --json of python -m verify step writes", (outcomes.Step, outcomes.Unjudged)),
    "steps": ("What --json of python -m verify steps writes", (outcomes.Steps, outcomes.Unjudged)),
    "learn": (
        "What --json of python -m verify learn writes", (outcomes.Learning, outcomes.Unjudged)
    ),
    "campaign": (
        "What --json of python -m verify campaign writes", (outcomes.Campaign, outcomes.Unjudged)
    ),
    "replay": (
        "What --json of python -m verify replay writes", (outcomes.Replayed, outcomes.Unjudged)
    ),
    "diff": ("What --json of python -m verify diff writes", (Diffed, outcomes.Unjudged)),
    "compare": (
        "What --json of python -m bench compare writes", (SpeedsCompared, outcomes.Unmeasured)
    ),
}  # fmt: skip
"""By name, what a schema is of, and its types."""


def schema(name: str) -> dict[str, Any]:
    """The schema of a name of `SOURCES`: any one of its types."""
    title, types = SOURCES[name]
    kinds, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {
        "$schema": DRAFT,
        "title": f"{title}, format {SCHEMA_VERSION}",
        "anyOf": list(kinds),
        "$defs": components,
    }


def text(name: str) -> str:
    """A schema as it is committed."""
    return json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n"


def file_of(name: str) -> Path:
    """Where a schema is, in the folder of all: those of records lie in a folder of their own."""
    return Path("records" if name.endswith("-records") else "", f"{name}.json")


def update(folder: Path) -> list[Path]:
    """Write every schema into a folder, and return the files.

    Raises:
        OSError: where that is not possible.
    """
    files = []
    for name in SOURCES:
        files.append(folder / file_of(name))
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_text(text(name), encoding="utf-8")
    return files
