"""Models x dtypes x sizes x threads x machines, cut into units.

A unit has all sizes of a model in a dtype with a number of threads: loading five processes of each
arm takes half a minute, whatever the number of sizes, and the same processes then serve all of
them. Loading is most of a short unit, so that a unit for each size would measure far less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from bench.arms.specs import baseline_of, spec_of, variants_of
from bench.plan.from_options import in_dtypes
from reports.commands import UsageError
from verify.fleet.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.workload.workload import Workload

FUNCTION = "bench.fleet.sweep_unit:measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """All that a sweep measures.

    Attributes:
        models: as `reference.load.load` takes them.
        dtypes: of the arms.
        threads: CPUs of every arm.
        workloads: each unit has all of them.
        arms: by dtype those that have it, the baseline first.
        device: that is measured.
        sizes: the options of `python -m bench run` that say the workloads.
        others: those that say how it is timed.
    """

    models: Sequence[str]
    dtypes: Sequence[str]
    threads: Sequence[int]
    workloads: Sequence[Workload]
    arms: Mapping[str, Sequence[str]]
    device: str
    sizes: Sequence[str]
    others: Sequence[str]

    def units(self, machines: Sequence[str]) -> list[Unit]:
        """A unit for each kind of machine, model, dtype and number of threads.

        Args:
            machines: CPUs, as `reports.saved.machine.cpu_model` names them.
        """
        factors = product(self.models, self.dtypes, self.threads, machines)
        return [self._unit(*chosen) for chosen in factors]

    def _unit(self, model: str, dtype: str, threads: int, machine: str) -> Unit:
        words = [
            "run", "--model", model, "--device", self.device, "--arms", ",".join(self.arms[dtype]),
            "--threads", str(threads), *self.sizes, *self.others,
        ]  # fmt: skip
        key = f"{model} {dtype} t{threads} on {machine}"
        return Unit(key, FUNCTION, {"words": words, "device": self.device}, place=machine)

    def as_dict(self) -> dict[str, Any]:
        """What a page tells of it, as JSON values."""
        return {
            "models": list(self.models), "dtypes": list(self.dtypes),
            "threads": list(self.threads), "device": self.device,
            "workloads": [workload.name for workload in self.workloads],
            "arms": {dtype: list(arms) for dtype, arms in self.arms.items()},
            "options": list(self.others),
        }  # fmt: skip


def arms_by_dtype(arms: Sequence[str], dtypes: Sequence[str]) -> dict[str, list[str]]:
    """The arms that have each dtype, the baseline's variant first, which ratios are taken to.

    Raises:
        UsageError: for an arm that has none of the dtypes, and a dtype that no arm has.
    """
    in_dtypes(arms, dtypes)  # each arm has one of them
    base = baseline_of(arms)
    ordered = [base, *(arm for arm in arms if arm != base)]
    found = {dtype: _in(ordered, dtype) for dtype in dtypes}
    for dtype, some in found.items():
        if not some:
            raise UsageError(f"--dtypes: none of {', '.join(arms)} has {dtype}")
    return found


def _in(arms: Sequence[str], dtype: str) -> list[str]:
    variants = (name for arm in arms for name in variants_of(arm))
    return list(dict.fromkeys(name for name in variants if spec_of(name).dtype == dtype))


def slug(key: str) -> str:
    """A key as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-")
