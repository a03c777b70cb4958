"""What two runs were not alike in: the machine, the inputs, the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.pages.rendering import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reports.saved.records import Run

MACHINE = (
    "cpu", "logical_cpus", "usable_cpus", "cgroup_cpus", "memory_bytes", "system", "accelerator",
)  # fmt: skip
"""Another one computes other numbers, and takes another time, by itself."""

SETTINGS = ("model", "weights_sha256", "threads")
"""What a user chose, and must have chosen alike."""


def machines(a: Run, b: Run) -> list[str]:
    """Entries of the machine that differ, each as `cpu: X -> Y`."""
    return _differing(MACHINE, a.environment, b.environment)


def settings(a: Run, b: Run) -> list[str]:
    """What was asked for that differs: model, weights, threads, seeds of the inputs."""
    return [*_differing(SETTINGS, a.environment, b.environment), *_seeds(a, b)]


def versions(a: Run, b: Run) -> list[str]:
    """Packages of other versions, each as `max: 26.7.0 -> 26.8.0`."""
    first, second = (run.environment.get("versions") or {} for run in (a, b))
    return _differing(dict.fromkeys([*first, *second]), first, second)


def environments(a: Run, b: Run) -> list[tuple[str, str, str, bool]]:
    """Entries of both environments, those that differ first: name, values, whether they differ."""
    first, second = (dict(flat(run.environment)) for run in (a, b))
    rows = [
        (name, first.get(name, "not recorded"), second.get(name, "not recorded"))
        for name in dict.fromkeys([*first, *second])
    ]
    named = [(name, one, other, one != other) for name, one, other in rows]
    return sorted(named, key=lambda row: not row[3])


def _differing(
    names: Iterable[str], first: Mapping[str, Any], second: Mapping[str, Any]
) -> list[str]:
    return [
        f"{name}: {_short(first.get(name))} -> {_short(second.get(name))}"
        for name in names
        if first.get(name) != second.get(name)
    ]


def _short(value: Any) -> str:
    """A hash by its beginning, everything else in full."""
    text = "none" if value is None else str(value)
    is_hash = len(text) in (40, 64) and all(letter in "0123456789abcdef" for letter in text)
    return text[:10] if is_hash else text


def _seeds(a: Run, b: Run) -> list[str]:
    """Inputs drawn with other seeds are other inputs, under the same names of cases."""
    first, second = (sorted({c["seed"] for c in run.of("check") if "seed" in c}) for run in (a, b))
    if not first or not second or first == second:
        return []
    return [f"seed: {' '.join(map(str, first))} -> {' '.join(map(str, second))}"]
