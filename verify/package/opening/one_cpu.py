"""Packages that are written for accelerators, on one CPU.

MAX lets a package that declares 16 bits run on accelerators alone. And some of its models speak
to a list of accelerators even where it has one member: they ask the driver for it, and take a
buffer of 300 MB by which accelerators signal to each other. Nothing of that is needed to trace a
graph, nor to say what it means: on one device a sum over all devices is what the one device has
(`verify.graph.operations.collectives`).

What is private here is the names in `REPLACED`, which
tests/verify/package/opening/test_one_cpu.py checks against each new version.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from max.driver import CPU, Buffer
from max.dtype import DType
from max.nn.comm import Signals, allreduce
from max.pipelines.lib.config import model_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIGNAL_BYTES = 16
"""Of the buffer in place of the one that accelerators signal by. Nothing writes to it."""


def _accelerator(**chosen: Any) -> CPU:  # noqa: ARG001
    return CPU()


def _signals(self: Any, devices: Any) -> None:
    self.devices = list(devices)


def _allocate(devices: Sequence[Any]) -> list[Buffer]:
    return [Buffer.zeros((SIGNAL_BYTES,), DType.uint8) for _ in devices]


REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (allreduce, "Accelerator", _accelerator),
    (Signals, "__init__", _signals),
    (Signals, "allocate", staticmethod(_allocate)),
    (Signals, "NUM_BYTES", SIGNAL_BYTES),
    (model_config, "supported_encoding_supported_on", lambda *_: True),
)
"""Owner, name, and what stands there on a CPU."""


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """While this lasts, models find the accelerators that they ask for: the CPU."""
    with ExitStack() as stack:
        for owner, name, replacement in REPLACED:
            stack.enter_context(mock.patch.object(owner, name, replacement))
        yield
