"""Whether float32 products on an NVIDIA GPU may use TF32, in every arm alike.

TF32 reads 10 of the 23 bits of each factor. PyTorch leaves it off unless it is asked for, ONNX
Runtime has it on, MAX decides by itself: beside each other they would compute different things.
The switch reaches every worker as an environment variable, like that of the kernels
(`impl/choosing/kernel_choice.py`). MAX has no option for it; `NVIDIA_TF32_OVERRIDE=0` keeps the
libraries of NVIDIA's from it that MAX calls.
"""

from __future__ import annotations

import os

from bench.arms.specs import spec_of
from reports.commands import UsageError

SWITCH = "MAX_GPT2_TF32"
"""`on` or `off`; not set, each library does as its makers chose."""


def allowed() -> bool | None:
    """What the switch says; None where it is not set.

    Raises:
        UsageError: where it says something else.
    """
    value = os.environ.get(SWITCH, "")
    if value not in ("", "on", "off"):
        raise UsageError(f"{SWITCH} is on or off, not {value!r}")
    return value == "on" if value else None


def judged_as(label: str, device: str) -> str:
    """The dtype that an arm's results are judged by on a device.

    TF32 has as many bits as float16 and float32's range, so that it is off by no more than float16.
    """
    own = spec_of(label).judged_as
    return "float16" if own == "float32" and device != "cpu" and allowed() else own
