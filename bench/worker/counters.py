"""How undisturbed a turn was, as the operating system counts it, and how much memory was needed."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")
STATUS = Path("/proc/self/status")
STAT = Path("/proc/stat")
CLEAR_REFS = Path("/proc/self/clear_refs")
TASKS = Path("/proc/self/task")

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")

CLEAN_WAITING = 0.02
"""Most of a clean block's time that its threads, or where that is not counted some task of the
machine, may have waited for a CPU."""
CLEAN_SWITCHES_PER_S = 10.0
"""Most non-voluntary switches of a clean block in a second, where waiting is not counted; one is
always allowed."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Running totals.

    Attributes:
        switches: how often a thread of this process was pushed off its CPU, every thread counted.
            `/proc/self/status` would tell the main thread's alone.
        psi_us: time in which some task of the machine waited for a CPU, in microseconds; None
            where the kernel does not count it.
        steal_us: CPU time that the hypervisor gave to others, in microseconds, in steps of a
            clock tick; None where the kernel does not count it.
        waited_us: how long threads of this process were ready and had no CPU, added up over its
            threads but not those of the class for idle work, which are meant to wait (MAX's log
            thread is one: for the machine as a whole, `psi_us`, somebody then always waits); None
            where the kernel does not count it. MAX on one CPU waits for its own other thread, a
            quarter of the time. A thread that ends takes what it waited out of the total.
        taken_us: CPU time that other programs took on the CPUs of this process, in microseconds,
            right to a clock tick, so that only sums of many turns tell; None where the kernel does
            not count it.
    """

    switches: int
    psi_us: int | None
    steal_us: int | None = None
    waited_us: int | None = None
    taken_us: int | None = None

    def since(self, start: Counters) -> Counters:
        """What was added after `start`."""
        return Counters(
            self.switches - start.switches,
            _difference(self.psi_us, start.psi_us),
            _difference(self.steal_us, start.steal_us),
            _difference(self.waited_us, start.waited_us),
            _difference(self.taken_us, start.taken_us),
        )

    def clean(self, wall_s: float) -> bool:
        """Whether a block of that length with these additions was undisturbed."""
        if self.steal_us:
            return False
        if self.waited_us is not None:
            return self.waited_us <= CLEAN_WAITING * wall_s * 1e6
        return (self.psi_us or 0) <= CLEAN_WAITING * wall_s * 1e6 and self.switches <= max(
            1.0, CLEAN_SWITCHES_PER_S * wall_s
        )


def read_counters() -> Counters:
    """The totals now."""
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    stat = _read(STAT)
    return Counters(
        switches, _psi_us(PRESSURE), _steal_us(stat), _waited_us(TASKS), _taken_us(stat)
    )


def reset_peak_rss() -> None:
    """Let `peak_rss_mib` count from now on, where the kernel can (Linux since 4.0)."""
    try:
        CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return  # the peak then stays that of the whole process


def peak_rss_mib() -> float:
    """Most memory that this process held since `reset_peak_rss`, in MiB.

    `ru_maxrss`, the fallback, can tell the parent's peak instead of this process's.
    """
    found = _status_mib("VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if found is None else found


def rss_mib() -> float | None:
    """Memory that this process holds, in MiB; None where it cannot be told."""
    return _status_mib("VmRSS:")


def limit_cpus(threads: int) -> None:
    """Let this process run on `threads` CPUs only, the first ones that it may use.

    MAX takes as many threads as it has CPUs, and aborts when it is told a number; so this must be
    called before max is imported.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _difference(now: int | None, start: int | None) -> int | None:
    return None if now is None or start is None else now - start


def _psi_us(path: Path) -> int | None:
    """The total of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`."""
    for line in _read(path).splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2])
    return None


def _steal_us(stat: str) -> int | None:
    """The eighth figure of the line `cpu  user nice system idle iowait irq softirq steal ...`."""
    first = stat.partition("\n")[0].split()
    return int(first[8]) * TICK_US if len(first) > 8 and first[0] == "cpu" else None


def _taken_us(stat: str) -> int | None:
    """What all programs used of this process's CPUs, less what it used itself.

    Of the lines `cpu0 user nice system idle iowait irq softirq steal ...` all but idle and iowait.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    own = {f"cpu{cpu}" for cpu in os.sched_getaffinity(0)}
    lines = [line.split() for line in stat.splitlines()]
    used = [sum(map(int, line[1:4] + line[6:9])) for line in lines if line[:1] and line[0] in own]
    return sum(used) * TICK_US - time.process_time_ns() // 1000 if len(used) == len(own) else None


def _waited_us(tasks: Path) -> int | None:
    """The second figure of each thread's `schedstat`: nanoseconds ready without a CPU."""
    total_ns = None
    for task in tasks.iterdir() if tasks.is_dir() else ():
        fields = _read(task / "schedstat").split()
        if len(fields) == 3 and not _idle_class(int(task.name)):
            total_ns = (total_ns or 0) + int(fields[1])
    return None if total_ns is None else total_ns // 1000


def _idle_class(thread: int) -> bool:
    """Whether a thread runs only where a CPU has nothing else to do."""
    if not hasattr(os, "SCHED_IDLE"):
        return False
    try:
        return os.sched_getscheduler(thread) == os.SCHED_IDLE
    except OSError:
        return True  # it has ended


def _status_mib(field: str) -> float | None:
    for line in _read(STATUS).splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
