"""What tells one machine from another: CPU, instructions, caches, memory.

A hypervisor sells several generations of CPUs under one name, and gives a part of one: what counts
for speed is what the kernel shows here.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from reports.saved.environment import cgroup_cpus, usable_cpus
from reports.saved.machine import accelerator_model, all_flags, cpu_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CPUINFO = Path("/proc/cpuinfo")
CPU = Path("/sys/devices/system/cpu/cpu0")

FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sve", "sve2", "sme",
)  # fmt: skip
"""Instructions that matter for products of matrices, x86's and Arm's, as Linux calls them."""

GIB = 2**30


def describe(device: str = "cpu") -> dict[str, Any]:
    """This machine, as JSON values.

    Args:
        device: as MAX calls it; an accelerator is named too.

    Returns:
        `machine` (8 hexadecimal digits, equal for like machines), `cpu`, `flags` (those of `FLAGS`
        that it has), `caches` (bytes by name, such as `L1d`, as one CPU sees them), `cores`
        (physical; null where not known), `logical_cpus`, `usable_cpus` (affinity), `cgroup_cpus`
        (quota, null without one), `memory_gib` (rounded), `system`, `accelerator` (null on the
        CPU).
    """
    found: dict[str, Any] = {
        "cpu": cpu_model(CPUINFO),
        "flags": flags(CPUINFO),
        "caches": caches(CPU),
        "cores": psutil.cpu_count(logical=False),
        "logical_cpus": os.cpu_count(),
        "usable_cpus": len(usable_cpus()),
        "cgroup_cpus": cgroup_cpus(),
        "memory_gib": round(psutil.virtual_memory().total / GIB),
        "system": f"{os.uname().sysname} {os.uname().machine}",
        "accelerator": None if device == "cpu" else accelerator_model(device),
    }
    return {"machine": identity(found), **found}


def identity(found: Mapping[str, Any]) -> str:
    """A short name that like machines share: the beginning of a hash over all that is known."""
    text = json.dumps(found, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def flags(cpuinfo: Path) -> list[str]:
    """Those of `FLAGS` that the first CPU has; none where the kernel does not tell."""
    there = set(all_flags(cpuinfo))
    return [flag for flag in FLAGS if flag in there]


def caches(cpu: Path) -> dict[str, int]:
    """Bytes of each cache that a CPU sees, by `L1d`, `L1i`, `L2`, `L3`."""
    return dict(_caches(cpu))


def _caches(cpu: Path) -> Iterator[tuple[str, int]]:
    for index in sorted(cpu.glob("cache/index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if size.endswith("K") and size[:-1].isdecimal():
            letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
            yield f"L{level}{letter}", int(size[:-1]) * 1024


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
