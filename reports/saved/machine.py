"""CPU and accelerator by names that tell unlike ones apart.

A hypervisor may call CPUs of several generations by one name ("AMD EPYC"), and a device's number
(`gpu:0`) is no name at all. Runs are compared by these names.
"""

from __future__ import annotations

import csv
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

TOOLS = (
    ("nvidia-smi", ("--query-gpu=index,name,memory.total", "--format=csv,noheader")),
    ("rocm-smi", ("--showproductname", "--csv")),
)
"""What makers bring to list their devices, in the order of its numbers: NVIDIA, AMD."""

VECTOR_FLAGS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "fphp", "sve", "bf16", "i8mm")
"""What the flags begin with that compilers and libraries choose kernels by."""


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """The CPU: its maker's name with family, model and stepping, as `/proc/cpuinfo` has them.

    On Arm, where the kernel knows numbers alone, `lscpu`'s name or those numbers.
    """
    fields = _first_processor(cpuinfo)
    name = fields.get("model name") or _from_lscpu() or platform.processor() or platform.machine()
    numbers = (("family", "cpu family"), ("model", "model"), ("stepping", "stepping"),
               ("implementer", "CPU implementer"), ("part", "CPU part"),
               ("revision", "CPU revision"))  # fmt: skip
    found = [f"{word} {fields[key]}" for word, key in numbers if fields.get(key)]
    return f"{name} ({', '.join(found)})" if found else name


def cpu_flags(cpuinfo: Path = CPUINFO) -> str:
    """What the CPU has for vectors and matrices, in the order of the alphabet: `avx avx2 fma`.

    A hypervisor may hide some of it, so that the model alone does not tell. x86 lists `flags`,
    aarch64 `Features`; nothing where neither can be read.
    """
    flags = all_flags(cpuinfo)
    return " ".join(sorted(flag for flag in flags if flag.startswith(VECTOR_FLAGS)))


def all_flags(cpuinfo: Path = CPUINFO) -> list[str]:
    """Everything that the first CPU has, as Linux calls it; empty where that cannot be read."""
    fields = _first_processor(cpuinfo)
    return (fields.get("flags") or fields.get("Features") or "").split()


def flags_of_all(cpuinfo: Path = CPUINFO) -> set[str]:
    """What every processor of Linux's list has; nothing where that cannot be read."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    lists = [
        set(line.partition(":")[2].split())
        for line in text.splitlines()
        if line.startswith(("flags", "Features"))
    ]
    return set.intersection(*lists) if lists else set()


def last_level_cache_bytes(caches: Path = CACHES) -> int:
    """Size of the largest cache of the first CPU; 0 where it cannot be told."""
    sizes = [path.read_text(encoding="ascii").strip() for path in caches.glob("index*/size")]
    units = {"K": 1 << 10, "M": 1 << 20}
    return max((int(size[:-1]) * units[size[-1]] for size in sizes if size[-1] in units), default=0)


def accelerator_model(device: str) -> str:
    """An accelerator by its maker's name and its memory.

    Args:
        device: as MAX calls it: `gpu`, or `gpu:1` for the second.

    Returns:
        The name that its maker's tool tells, `NVIDIA H200 (143771 MiB)`; `device` without a tool.
    """
    number = int(device.partition(":")[2] or 0)
    for program, options in TOOLS:
        names = names_in(_printed(program, options))
        if number < len(names):
            return names[number]
    return device


def nvidia_gpus() -> list[str]:
    """The GPUs that NVIDIA's tool lists, by name and memory; none without the tool."""
    program, options = TOOLS[0]
    return names_in(_printed(program, options))


def names_in(text: str) -> list[str]:
    """The devices that a maker's tool has listed, one a line: number, name, and memory if told."""
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if len(row) > 1]
    return [_name(row) for row in rows if row[0] != "device"]


def _name(row: Sequence[str]) -> str:
    """NVIDIA's has three columns; of AMD's the series and the model tell."""
    if len(row) == 3:
        return f"{row[1]} ({row[2]})"
    return ", ".join(part for part in row[1:3] if part)


def _first_processor(cpuinfo: Path) -> Mapping[str, str]:
    """What the kernel tells of the first CPU."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = text.partition("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _from_lscpu() -> str:
    """The name that `lscpu` gives, who knows the numbers of Arm's cores."""
    for line in _printed("lscpu", ()).splitlines():
        if line.startswith("Model name:"):
            return line.partition(":")[2].strip()
    return ""


def _printed(program: str, options: Sequence[str]) -> str:
    """What a tool prints; nothing where it is not there or fails."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *options], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
