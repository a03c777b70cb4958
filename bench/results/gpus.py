"""What `nvidia-smi` tells of accelerators: names, clocks, memory, and who uses them."""

from __future__ import annotations

import csv
import shutil
import subprocess
from typing import Any

FIELDS = (
    "index", "name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit",
    "memory.total", "memory.used", "utilization.gpu", "temperature.gpu", "persistence_mode",
)  # fmt: skip


def describe_gpus() -> list[dict[str, Any]]:
    """One entry for each NVIDIA GPU, with `processes`; empty without the tool or a GPU."""
    gpus = _query("--query-gpu=", FIELDS)
    users = _query("--query-compute-apps=", ("gpu_uuid", "pid", "process_name", "used_memory"))
    return [{**gpu, "processes": users} for gpu in gpus]


def _query(option: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, option + ",".join(fields), "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(done.stdout, fields)


def parse(text: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """The lines of a query, by field; dots in names become underscores."""
    names = [field.replace(".", "_") for field in fields]
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)]
