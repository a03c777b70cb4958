"""Which kernels an engine takes: what is asked for, what the switch says, and what the CPU has.

    asked    MAX_GPT2_KERNELS    on a CPU                              on an accelerator
    mojo     any                 Mojo                                  refused
    stock    any                 stock                                 stock
    auto     mojo                Mojo                                  stock
    auto     stock               stock                                 stock
    auto     auto, or not set    Mojo with AVX-512, stock without      stock

The switch is an environment variable, so that it reaches every process that is started from here:
a benchmark's workers, a candidate's sandbox. It makes both paths run on every machine. Weights in
fewer bits than float32 have Mojo kernels alone, and take them on any CPU.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from impl.precompile import KernelError

SWITCH = "MAX_GPT2_KERNELS"
"""The environment variable that says what `auto` takes on a CPU."""

CHOICES = ("auto", "mojo", "stock")

NAMES = {"mojo": "Mojo kernels", "stock": "stock MAX operations"}
"""What a program's path begins with, by what was chosen."""

NO_CPU = "the Mojo kernels are for a CPU"

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists what each processor can do."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernels that an engine takes.

    Attributes:
        kernels: `mojo` or `stock`.
        required: whether others may not take their place, should they not build.
        reason: why `auto` means them, where that has to be said.
    """

    kernels: str
    required: bool = True
    reason: str = ""


def choose(kernels: str, dtype: str, *, on_cpu: bool) -> Choice:
    """What is meant by `auto`, `mojo` or `stock` here.

    Args:
        kernels: what is asked for.
        dtype: of the weights.
        on_cpu: whether the device is the CPU.

    Raises:
        impl.precompile.KernelError: where what is asked for cannot run, or the switch says none of
            the three.
    """
    choice = _auto(dtype, on_cpu=on_cpu) if kernels == "auto" else Choice(kernels)
    if choice.kernels == "mojo" and not on_cpu:
        raise KernelError(NO_CPU)
    if choice.kernels == "stock" and dtype != "float32":
        why = f"{choice.reason}: " if choice.reason else ""
        needs = f"{dtype} needs the Mojo kernels"
        raise KernelError(f"{why}stock operations compute in float32; {needs}")
    return choice


def _auto(dtype: str, *, on_cpu: bool) -> Choice:
    if not on_cpu:
        return Choice("stock", reason=NO_CPU)
    switch = switched()
    if switch != "auto":
        return Choice(switch, reason=f"{SWITCH}={switch}")
    if dtype != "float32":
        return Choice("mojo")
    if has_avx512():
        return Choice("mojo", required=False)
    return Choice("stock", reason="the Mojo kernels need AVX-512, which this CPU lacks")


def switched() -> str:
    """What the switch says: `auto`, `mojo` or `stock`.

    Raises:
        impl.precompile.KernelError: where it says something else.
    """
    value = os.environ.get(SWITCH) or "auto"
    if value not in CHOICES:
        raise KernelError(f"{SWITCH} is {' or '.join(CHOICES)}, not {value!r}")
    return value


def has_avx512(cpuinfo: Path | None = None) -> bool:
    """Whether every processor has AVX-512; False where that cannot be read.

    Args:
        cpuinfo: Linux's list of processors; this machine's by default. x86 lists what one can do as
            `flags`, aarch64 as `Features`.
    """
    try:
        lines = (cpuinfo or CPUINFO).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    return bool(flags) and all("avx512f" in each for each in flags)
