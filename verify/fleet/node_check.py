"""What a machine works with; what differs between two; how busy one is."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import psutil

from reports.saved.environment import PACKAGES, package_version, source_sha256, usable_cpus
from reports.saved.home import REPOSITORY
from reports.saved.machine import cpu_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CODE = ("impl", "reference", "verify", "bench")
"""The packages whose code decides what a unit finds."""

LOOK_S = 1.0
"""Seconds over which it is seen how busy a machine is."""


def description() -> dict[str, Any]:
    """This machine and its code, as JSON values.

    Returns:
        `versions` of Python and of the packages that compute (null where not installed), `code`
        (sha256 by package of this project), `machine` (the CPU), `cpus` (numbers of those that may
        be used).
    """
    return {
        "versions": {"python": platform.python_version()}
        | {name: package_version(name) for name in PACKAGES},
        "code": {name: source_sha256(REPOSITORY / name) for name in CODE},
        "machine": cpu_model(),
        "cpus": usable_cpus(),
    }


def difference(driver: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """In which way a node would compute something else than the driver; empty where in none."""
    return ", ".join(_differences(driver, node))


def _differences(driver: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[str]:
    for name, here in driver["versions"].items():
        there = node["versions"].get(name)
        if there != here:
            yield f"it has {name} {there or 'not'}, and the driver {here or 'has none'}"
    for name, here in driver["code"].items():
        if node["code"].get(name) != here:
            yield f"its code of {name}/ is not the driver's"


def load() -> float:
    """Which share of this machine's CPUs is at work, whoever's work it is, over a second."""
    return float(psutil.cpu_percent(LOOK_S)) / 100
