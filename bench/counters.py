"""How undisturbed a turn was, as the operating system counts it, and how much memory was needed."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")
STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Counters:
    """Running totals.

    Attributes:
        nonvoluntary_switches: how often a thread of this process was pushed off its CPU.
            `/proc/self/status` would tell the main thread's alone.
        cpu_pressure_us: time in which some task of the machine waited for a CPU, in
            microseconds; None where the kernel does not count it.
    """

    nonvoluntary_switches: int
    cpu_pressure_us: int | None

    def since(self, start: Counters) -> Counters:
        """What was added after `start`."""
        pressure = (
            None
            if self.cpu_pressure_us is None or start.cpu_pressure_us is None
            else self.cpu_pressure_us - start.cpu_pressure_us
        )
        switches = self.nonvoluntary_switches - start.nonvoluntary_switches
        return Counters(switches, pressure)


def read_counters() -> Counters:
    """The totals now."""
    return Counters(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw, _cpu_pressure_us(PRESSURE))


def peak_rss_mib() -> float:
    """Most memory that this process ever held, in MiB.

    `ru_maxrss`, the fallback, can tell the parent's peak instead of this process's.
    """
    for line in _read(STATUS).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def limit_cpus(threads: int) -> None:
    """Let this process run on `threads` CPUs only, the first ones that it may use.

    MAX takes as many threads as it has CPUs, and aborts when it is told a number; so this must be
    called before max is imported.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _cpu_pressure_us(path: Path) -> int | None:
    """The total of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`."""
    for line in _read(path).splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2])
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
