"""How much processes differ on this machine: found by `python -m bench null`, and kept.

Kept beside the peers' conversions (`bench.arms.caches`) by CPU, checkpoint, threads and arm. A run
uses what is known where every one of its arms is, and records what it used (`luck`), so that its
rows can be made again elsewhere.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.arms.caches import conversions
from reports.saved.files import write
from reports.saved.machine import cpu_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.judge.luck import Machine
    from bench.plan.plan import Plan


def keep(plan: Plan, found: Machine) -> Path:
    """Keep what was found with the plan's first arm; returns the file."""
    key, file = _key(plan.model, plan.threads[0]), _file()
    known = _read(file)
    arm = {"between": found.between, "freedom": found.freedom,
           "workload": plan.workloads[0].name}  # fmt: skip
    known[key] = {**known.get(key, {}), _name(plan.arms[0]): arm}
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, json.dumps(known, indent=1) + "\n")
    return file


def luck_record(model: str, device: str, threads: int, arms: Sequence[str]) -> dict[str, Any]:
    """What is known of these arms together, as a run records it; `between` is null for nothing."""
    known = _read(_file()).get(_key(model, threads), {}) if device == "cpu" else {}
    names = list(dict.fromkeys(map(_name, arms)))
    found = [known[name] for name in names if name in known]
    whole = bool(names) and len(found) == len(names)
    freedom = sum(arm["freedom"] for arm in found) if whole else 0.0
    between = sum(arm["between"] * arm["freedom"] for arm in found) / freedom if freedom else None
    place = {"model": model, "device": device, "threads": threads}
    return {"record": "luck", **place, "arms": names, "between": between, "freedom": freedom}


def _name(label: str) -> str:
    """The arm, of one that runs twice too."""
    return label.partition("#")[0]


def _key(model: str, threads: int) -> str:
    return f"{cpu_model()}, {model}, {threads} threads"


def _file() -> Path:
    return conversions() / "processes.json"


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """What was kept; nothing where it cannot be read, which costs one `bench null`."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
