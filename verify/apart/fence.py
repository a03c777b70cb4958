"""A fence around a process apart: what it can change, and whom it reaches.

Behind it a process, and all that it starts, can read what its user can, and change the content of
no file but in a folder of its own, and MAX's process in MAX's caches. It can neither read nor write
the memory or the open files of a process outside, nor signal one. It is Linux's Landlock that holds
it, for root too: from 5.13 on, cutting files off from 6.2 and signals from 6.12. Where the kernel
has none, or on another system, there is no fence, and the run says so. Modes, owners and times of
files are not behind it, nor is a server's socket that has a path, nor the network.

Run as `python -P -m verify.apart.fence MODULE ARGUMENTS`, which goes behind the fence before
anything of MAX is imported: threads that run already would stay outside.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WRITABLE = "VERIFY_APART_MAY_WRITE"
"""Environment variable with the folders that the process may write in, one after another as in
PATH."""

DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "dri", "kfd", "dxg")
"""Of /dev: what may be written to, and every device of NVIDIA's. No terminal is among them."""

# Numbers of linux/landlock.h, linux/prctl.h, and of the system calls on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_WRITE_FILE, _TRUNCATE, _REFER = 1 << 1, 1 << 14, 1 << 13
_IN_FOLDERS = sum(1 << bit for bit in (4, 5, 6, 7, 8, 9, 10, 11, 12))
"""Remove a folder or a file; make a character device, a folder, a file, a socket, a pipe, a block
device, a link."""
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """The version of Landlock's interface; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _call(_CREATE_RULESET, None, 0, _VERSION))


def fence(writable: Iterable[Path]) -> bool:
    """Put this thread, and all that it starts from now on, behind the fence.

    Args:
        writable: folders, and files, that may be written.

    Returns:
        Whether there is a fence now.
    """
    abi = version()
    if not abi:
        return False
    in_folders = _IN_FOLDERS | (_REFER if abi >= 2 else 0)
    files = _WRITE_FILE | (_TRUNCATE if abi >= 3 else 0)
    scoped = _ABSTRACT_SOCKETS | _SIGNALS if abi >= 6 else 0
    ruleset = _Ruleset(in_folders | files, 0, scoped)
    size = ctypes.sizeof(ruleset) if abi >= 6 else 16 if abi >= 4 else 8
    handle = _call(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if handle < 0:
        return False
    try:
        for path in writable:
            _allow(handle, path, files | in_folders if path.is_dir() else files)
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return _call(_RESTRICT_SELF, handle, 0) == 0
    finally:
        os.close(handle)


def _allow(handle: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there cannot be written
        return
    try:
        _call(_ADD_RULE, handle, _PATH_BENEATH, ctypes.byref(_Beneath(rights, descriptor)), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    result: int = ctypes.CDLL(None).syscall(number, *arguments)
    return result


def devices(folder: Path = Path("/dev")) -> list[Path]:
    """What may be written to of the devices."""
    found = [folder / name for name in DEVICES]
    return [path for path in (*found, *sorted(folder.glob("nvidia*"))) if path.exists()]


def main(argv: Sequence[str]) -> None:
    """Go behind the fence, then be another module.

    Args:
        argv: its name, and what it is called with.
    """
    named = os.environ.pop(WRITABLE, tempfile.gettempdir()).split(os.pathsep)
    if not fence([*map(Path, named), *devices()]) and version():
        sys.exit("Linux has Landlock, but refuses to restrict this process")
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
