"""What a run ran on: versions, machine, code. Nothing heavy is imported to find out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.saved.home import CLONE, REPOSITORY
from reports.saved.machine import accelerator_model, cpu_flags, cpu_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "max-parity"
"""This project's distribution."""

PACKAGES = ("modular", "max", "torch", "transformers", "numpy")
NOT_PROGRAM = frozenset({".md", ".txt", ".pyc"})
"""Suffixes of files that decide nothing of what a program computes: documents and caches."""

JUDGE = ("reference", "verify")
"""The packages that decide what a verification says of a program."""


def collect(
    *,
    weights_sha256: str | None = None,
    accelerator: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe this machine and this code, as JSON values.

    Args:
        weights_sha256: content hash of the checkpoint that the run is about.
        accelerator: the accelerator in use as MAX calls it, `gpu` or `gpu:1`; None without one.
        extra: further entries; they win over the collected ones.

    Returns:
        `versions` (by package, null where not installed), `cpu`, `cpu_flags` (those for
        vectors and matrices), `logical_cpus`, `usable_cpus` (affinity), `cgroup_cpus` (quota, null
        without one), `threads` (what a run may use),
        `memory_bytes`, `system`, `commit` and `dirty` of the working directory's repository (null
        outside git), `tool` (of this project: its `version`, `commit`, `dirty`), `impl_sha256`,
        `judge_sha256`, `weights_sha256`, `accelerator` (by its maker's name).
    """
    commit, dirty = _git_state(Path.cwd())
    return {
        "versions": {name: package_version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "cpu": cpu_model(),
        "cpu_flags": cpu_flags(),
        "logical_cpus": os.cpu_count(),
        "usable_cpus": len(usable_cpus()),
        "cgroup_cpus": cgroup_cpus(),
        "threads": default_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "commit": commit,
        "dirty": dirty,
        "tool": own_state(),
        "impl_sha256": source_sha256(REPOSITORY / "impl"),
        "judge_sha256": judge_sha256(),
        "weights_sha256": weights_sha256,
        "accelerator": accelerator and accelerator_model(accelerator),
        **(extra or {}),
    }


def own_state() -> dict[str, Any]:
    """Which version of this project runs: a clone's commit, or the one that pip fetched.

    Returns:
        `version`, `commit`, and `dirty`, whether files differ from it; null where nobody knows.
    """
    commit, dirty = _git_state(REPOSITORY) if CLONE else (_fetched_commit(), None)
    return {"version": own_version(), "commit": commit, "dirty": dirty}


def own_version() -> str | None:
    """This project's version: as a clone's pyproject.toml has it, or as it is installed."""
    if not CLONE:
        return package_version(NAME)
    version_: str | None = (
        tomllib.loads(_read(REPOSITORY / "pyproject.toml")).get("project", {}).get("version")
    )
    return version_


def _fetched_commit() -> str | None:
    """What `pip install git+URL` took, as it writes it down."""
    try:
        told = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    commit: str | None = told.get("vcs_info", {}).get("commit_id")
    return commit


def usable_cpus() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def default_threads() -> int:
    """As many threads as CPUs are granted by affinity and by the cgroup's quota, at least one."""
    quota = cgroup_cpus()
    usable = len(usable_cpus())
    return usable if quota is None else max(1, min(usable, int(quota)))


def cgroup_cpus(
    cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> float | None:
    """The smallest CPU quota of this process's control groups, in CPUs; None without a limit."""
    return min(_quotas(cgroups, membership), default=None)


def source_sha256(folder: Path) -> str:
    """Hash of the names and contents of every file below `folder` that its program is made of.

    That is each but documents, caches, and what begins with a dot or ends with a tilde.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if _of_program(path) and path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}:{len(content)};".encode())
        digest.update(content)
    return digest.hexdigest()


def _of_program(path: Path) -> bool:
    return path.suffix not in NOT_PROGRAM and path.name[0] != "." and path.name[-1] != "~"


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Version 2: `cpu.max` of this group and of every one above. Version 1: `cpu.cfs_quota_us`."""
    for line in _read(membership).splitlines():
        _, controllers, group = line.split(":", 2)
        folder = cgroups / group.lstrip("/")
        if not controllers:
            for place in (folder, *folder.parents):
                if place.is_relative_to(cgroups):
                    yield from _share(_read(place / "cpu.max").split())
        elif "cpu" in controllers.split(","):
            folder = cgroups / "cpu" / group.lstrip("/")
            quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            yield from _share([quota.strip(), period.strip()])


def _share(values: list[str]) -> Iterator[float]:
    """Quota over period, where both are positive numbers; `max` and -1 mean no limit."""
    if len(values) == 2 and all(value.isdecimal() and int(value) for value in values):
        yield int(values[0]) / int(values[1])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def package_version(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def judge_sha256() -> str:
    """Hash of the program that judges: of the reference and the verification."""
    hashes = (source_sha256(REPOSITORY / name) for name in JUDGE)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    """The checked-out commit, and whether files differ from it."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain")
    return (commit, bool(changes)) if commit and changes is not None else (None, None)


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
