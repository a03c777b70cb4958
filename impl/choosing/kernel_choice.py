"""Which kernels an engine takes: what is asked for, what the switch says, and what the CPU has.

    asked       MAX_GPT2_KERNELS   on a CPU                                  on an accelerator
    mojo        any                Mojo, in the form for this CPU            refused
    mojo-FORM   any                Mojo, in that form                        refused
    stock       any                stock                                     stock
    auto        one of these       as if that were asked for                 stock
    auto        auto, or not set   what was the fastest here (impl/choosing/kept.py);    stock
                                   not measured: Mojo, but stock where there
                                   are no fused multiply-adds; never tiles.
                                   With NEON it says that nobody has timed it.

The switch is an environment variable, so that it reaches every process that is started from here:
a benchmark's workers, a candidate's sandbox. It makes every path run on every machine: a form of
the Mojo kernels (impl/kernels/form.mojo) is how large tiles and vectors are, and each of them runs
on each CPU. Weights in fewer bits than float32 have Mojo kernels alone, and take them on any CPU.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from impl.choosing.tiles import refusal
from impl.precompile import KernelError
from reports.saved.machine import CPUINFO, flags_of_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SWITCH = "MAX_GPT2_KERNELS"
"""The environment variable that says what `auto` takes on a CPU."""

FORMS = {"avx512": 1, "avx2": 2, "neon": 3, "plain": 4, "tiles": 5, "tiles-emulated": 6}
"""Forms of the Mojo kernels, as impl/kernels/form.mojo numbers them."""

UNITS = {"floats": 0, "pairs": 1}
"""What multiplies, as impl/kernels/form.mojo numbers them: float32, or pairs of bfloat16."""

CHOICES = ("auto", "mojo", "stock", *(f"mojo-{form}" for form in FORMS))

CALLED = {
    "avx512": "AVX-512", "avx2": "AVX2", "neon": "NEON", "plain": "any CPU",
    "tiles": "AMX tiles", "tiles-emulated": "emulated AMX tiles",
}  # fmt: skip
"""What a form is for."""

UNMEASURED = frozenset({"neon"})
"""Forms that have not been timed on any CPU they are for; their results are tested on all."""

COMPARE = "never timed on such a CPU: `python -m impl choose` compares them with MAX's operations"

NO_CPU = "the Mojo kernels are for a CPU"

NO_FMA = "no fused multiply-adds, which the Mojo kernels are made of"


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernels that an engine takes.

    Attributes:
        kernels: `mojo` or `stock`.
        form: of the Mojo kernels, one of `FORMS`; "" for stock operations.
        required: whether others may not take their place, should they not build.
        reason: why `auto` means them, where that has to be said.
    """

    kernels: str
    form: str = ""
    required: bool = True
    reason: str = ""

    @classmethod
    def of(cls, name: str, *, required: bool = True, reason: str = "") -> Choice:
        """What one of `CHOICES` but `auto` means here."""
        kernels, _, form = name.partition("-")
        if kernels == "mojo":
            form = form or form_of_cpu()
        return cls(kernels, form, required, reason)

    @property
    def path(self) -> str:
        """What a program's path begins with."""
        return path_of(self.kernels, self.form)


def path_of(kernels: str, form: str = "", unit: str = "floats") -> str:
    """`stock MAX operations`, or `Mojo kernels for AVX2`, and how pairs are multiplied."""
    if kernels == "stock":
        return "stock MAX operations"
    return f"Mojo kernels for {CALLED[form]}{_said_of_pairs(form) if unit == 'pairs' else ''}"


def _said_of_pairs(form: str) -> str:
    """What multiplies pairs of bfloat16; tiles have their own products."""
    if form.startswith("tiles"):
        return ""
    if form == "avx512" and "avx512_bf16" in flags_of_all(CPUINFO):
        return " with AVX512_BF16"
    return " with AVX512_BF16's sums in float32 instructions"


def choose(
    kernels: str, dtype: str, *, on_cpu: bool, measured: Callable[[], tuple[str, str] | None]
) -> Choice:
    """What is meant by one of `CHOICES` here.

    Args:
        kernels: what is asked for.
        dtype: of the weights.
        on_cpu: whether the device is the CPU.
        measured: what was the fastest here, and a sentence on it; None where nobody has looked.

    Raises:
        impl.precompile.KernelError: where what is asked for cannot run, or the switch says
            something else.
    """
    if kernels == "auto":
        choice = _auto(dtype, on_cpu=on_cpu, measured=measured)
    else:
        choice = Choice.of(kernels)
    if choice.kernels == "mojo" and not on_cpu:
        raise KernelError(NO_CPU)
    if choice.form == "tiles" and (refused := refusal()):
        raise KernelError(refused)
    if choice.kernels == "stock" and dtype != "float32":
        why = f"{choice.reason}: " if choice.reason else ""
        needs = f"{dtype} needs the Mojo kernels"
        raise KernelError(f"{why}stock operations compute in float32; {needs}")
    return choice


def _auto(dtype: str, *, on_cpu: bool, measured: Callable[[], tuple[str, str] | None]) -> Choice:
    if not on_cpu:
        return Choice.of("stock", reason=NO_CPU)
    switch = switched()
    if switch != "auto":
        return Choice.of(switch, reason=f"{SWITCH}={switch}")
    if dtype != "float32":
        return Choice.of("mojo")
    if found := measured():
        if found[0] == "mojo-tiles" and (refused := refusal()):
            return Choice.of("mojo", required=False, reason=refused)
        return Choice.of(found[0], required=False, reason=found[1])
    form = form_of_cpu()
    if form == "plain":
        return Choice.of("stock", reason=f"this CPU has {NO_FMA}")
    return Choice("mojo", form, required=False, reason=COMPARE if form in UNMEASURED else "")


def switched() -> str:
    """What the switch says: one of `CHOICES`.

    Raises:
        impl.precompile.KernelError: where it says something else.
    """
    value = os.environ.get(SWITCH) or "auto"
    if value not in CHOICES:
        raise KernelError(f"{SWITCH} is {', '.join(CHOICES[:-1])} or {CHOICES[-1]}, not {value!r}")
    return value


def form_of_cpu(cpuinfo: Path | None = None) -> str:
    """The form that fits what every processor has; `plain` where that cannot be read.

    Args:
        cpuinfo: Linux's list of processors; this machine's by default. x86 lists what one can do as
            `flags`, aarch64 as `Features`.
    """
    if cpuinfo is None and platform.system() != "Linux":
        return "neon" if platform.machine() == "arm64" else "plain"
    common = flags_of_all(cpuinfo or CPUINFO)
    if "avx512f" in common:
        return "avx512"
    if {"avx2", "fma"} <= common:
        return "avx2"
    return "neon" if "asimd" in common else "plain"
