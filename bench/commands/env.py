"""`python -m bench env`: what about this machine will spoil a measurement, and what to do about it.

Nothing is changed; each line is a fact, whether it matters, and the command that would help.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.results.gpus import describe_gpus
from bench.worker.counters import read_counters
from reports.commands import Parser
from reports.saved.environment import cgroup_cpus, collect, default_threads, usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WATCH_S = 2.0
BUSY_PCT = 5.0
CPU = Path("/sys/devices/system/cpu")
OK, MATTERS, UNKNOWN = "ok", "matters", "unknown"
STYLES = {OK: "green", MATTERS: "bold yellow", UNKNOWN: "dim"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the machine.

    Attributes:
        what: its name.
        seen: as it is.
        state: `ok`, `matters` or `unknown`.
        advice: what to do; empty where nothing is needed.
    """

    what: str
    seen: str
    state: str
    advice: str = ""


def main(argv: Sequence[str]) -> int:
    """Print every finding; always 0, since a machine may be what it is."""
    Parser(prog="python -m bench env", description=__doc__ and __doc__.split("\n")[0]).parse_args(
        argv
    )
    console = Console()
    environment = collect()
    console.print(f"{environment['cpu']}, {environment['system']}", highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("what", "seen", "state", "what to do"):
        table.add_column(name, overflow="fold")
    for finding in findings():
        state = Text(finding.state, STYLES[finding.state])
        table.add_row(finding.what, finding.seen, state, finding.advice)
    console.print(table)
    return 0


def findings() -> Iterator[Finding]:
    """Look at everything; takes about `WATCH_S` seconds."""
    yield from watched(WATCH_S)
    yield cpus()
    yield governor()
    yield turbo()
    yield siblings()
    yield swap()
    yield setting(
        "huge pages", Path("/sys/kernel/mm/transparent_hugepage/enabled"), "always",
        "large buffers may differ from run to run: echo always > {path}",
    )  # fmt: skip
    yield setting(
        "address layout", Path("/proc/sys/kernel/randomize_va_space"), "0",
        "processes of equal code differ a little: that is what the null in every run measures",
    )  # fmt: skip
    yield setting(
        "clock", Path("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "tsc|kvm-clock|arch_sys_counter", "reading this clock is slow: boot with clocksource=tsc",
    )  # fmt: skip
    yield from gpus()


def watched(seconds: float) -> Iterator[Finding]:
    """Watch the machine for a while without using it."""
    before, busy = read_counters(), _cpu_times()
    time.sleep(seconds)
    spent = read_counters().since(before)
    yield _share(
        "CPU pressure", spent.psi_us, seconds,
        "other tasks wait for CPUs: stop them, or use fewer threads (-t)",
    )  # fmt: skip
    yield _share(
        "steal", spent.steal_us, seconds,
        "the hypervisor gives this machine's CPUs to others: use a dedicated one",
    )  # fmt: skip
    used = {
        process: 100 * (after - busy.get(process, after)) / seconds
        for process, after in _cpu_times().items()
        if process[0] != os.getpid()
    }
    top = sorted(used.items(), key=lambda item: -item[1])[:3]
    names = [f"{name} ({pid}) {share:.0f}%" for (pid, name), share in top if share > BUSY_PCT]
    yield Finding(
        "other processes",
        ", ".join(names) or f"none above {BUSY_PCT:.0f}% of a CPU",
        MATTERS if names else OK,
        "stop them while you measure" if names else "",
    )


def cpus() -> Finding:
    """What this process may use of what there is."""
    quota, usable = cgroup_cpus(), len(usable_cpus())
    seen = f"{os.cpu_count()} logical, {usable} usable, quota {quota or 'none'}"
    throttled = quota is not None and quota < usable
    advice = f"a quota below the CPUs throttles in bursts: use -t {default_threads()}"
    return Finding("CPUs", seen, MATTERS if throttled else OK, advice if throttled else "")


def governor() -> Finding:
    """Whether the frequency follows the load."""
    return setting(
        "frequency governor", CPU / "cpu0/cpufreq/scaling_governor", "performance",
        "the frequency follows the load: cpupower frequency-set -g performance",
    )  # fmt: skip


def turbo() -> Finding:
    """Whether the frequency depends on temperature and on how many cores work."""
    for path, off in ((CPU / "intel_pstate/no_turbo", "1"), (CPU / "cpufreq/boost", "0")):
        if path.exists():
            return setting("turbo", path, off, f"rates depend on heat: echo {off} > {{path}}")
    return Finding("turbo", "not told here", UNKNOWN, "a virtual machine hides it")


def siblings() -> Finding:
    """Whether two logical CPUs share a core."""
    return setting(
        "hyperthreads", CPU / "smt/active", "0",
        "two threads may share a core: -t with half the CPUs, or echo off > /sys/.../smt/control",
    )  # fmt: skip


def swap() -> Finding:
    """Whether memory was written to disk."""
    used = psutil.swap_memory().used
    free = psutil.virtual_memory().available
    seen = f"{used / 2**20:,.0f} MiB swapped, {free / 2**30:.1f} GiB free"
    return Finding("memory", seen, MATTERS if used else OK, "free memory first" if used else "")


def gpus() -> Iterator[Finding]:
    """Names, clocks and other users of NVIDIA GPUs."""
    found = describe_gpus()
    if not found:
        yield Finding("GPU", "nvidia-smi lists none", OK)
    for gpu in found:
        seen = ", ".join(f"{key} {gpu[key]}" for key in ("name", "clocks_sm", "memory_used"))
        users = len(gpu["processes"])
        advice = f"{users} processes use it: end them" if users else (
            "lock its clocks: nvidia-smi -lgc MIN,MAX"
        )  # fmt: skip
        yield Finding(f"GPU {gpu['index']}", seen, MATTERS if users else OK, advice)


def setting(what: str, path: Path, wanted: str, advice: str) -> Finding:
    """A file of the kernel's whose content should be one of `wanted`, separated by `|`."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return Finding(what, "not told here", UNKNOWN)
    chosen = text.partition("[")[2].partition("]")[0] or text  # "always [madvise] never"
    if chosen in wanted.split("|"):
        return Finding(what, chosen, OK)
    return Finding(what, chosen, MATTERS, advice.format(path=path))


def _share(what: str, spent_us: int | None, seconds: float, advice: str) -> Finding:
    if spent_us is None:
        return Finding(what, "not counted by this kernel", UNKNOWN)
    share = spent_us / 1e6 / seconds
    matters = share > BUSY_PCT / 100
    return Finding(what, f"{share:.1%} of {seconds:.0f} s", MATTERS if matters else OK,
                   advice if matters else "")  # fmt: skip


def _cpu_times() -> dict[tuple[int, str], float]:
    """CPU seconds that each process has used so far."""
    found: dict[tuple[int, str], float] = {}
    for process in psutil.process_iter(["pid", "name", "cpu_times"]):
        info: dict[str, Any] = process.info
        if info["cpu_times"] is not None:
            times = info["cpu_times"]
            found[info["pid"], info["name"]] = times.user + times.system
    return found
