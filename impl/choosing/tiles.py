"""AMX's tiles: whether every CPU here has them, and Linux's permission to use them.

A process may use tiles once it has asked: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), see
Linux's Documentation/arch/x86/xstate.rst. The permission is the whole process's, all its
threads'; an instruction without it ends the process.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import lru_cache

from reports.saved.machine import flags_of_all

FLAGS = {"amx_tile", "amx_bf16"}
"""What Linux calls them in /proc/cpuinfo."""

ARCH_PRCTL = 158
"""Number of the system call on x86-64."""

ARCH_REQ_XCOMP_PERM = 0x1023
XFEATURE_XTILEDATA = 18

MISSING = "this CPU has no AMX tiles; mojo-tiles-emulated computes the same, slowly"


def has_tiles() -> bool:
    """Whether every CPU of this machine has tiles that multiply bfloat16."""
    return flags_of_all() >= FLAGS


@lru_cache(maxsize=1)
def refusal() -> str:
    """Why products of bfloat16 cannot have tiles here, in one sentence; nothing where they can."""
    return permission_refused() if has_tiles() else MISSING


def permission_refused() -> str:
    """Ask Linux for this process's tiles; why it gives none, in one sentence, or nothing."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "tiles are known on Linux and x86-64 alone"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0:
        return ""
    return f"Linux refuses permission to use AMX tiles: {os.strerror(ctypes.get_errno())}"
