"""Traces: what a model computed at its named places.

A tap is a place in the model, named by Hugging Face's own module path: `transformer.h.0.attn` is
what the module returns, `transformer.h.0.attn:input` is what it is called with.

A trace is made in one of two ways. Running free, each module works on what the modules before it
computed. Forced, every module works on a given activation: its own result is recorded, then
replaced by the given one. A forced trace therefore holds each stage's computation in isolation,
all from one pass, and no error travels from one stage to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

Trace = dict[str, "Array"]
"""Tap -> array, in the order of execution. Arrays are copies that nothing else writes to."""


class TraceError(RuntimeError):
    """A trace that would be misleading: a tap written twice, or a given activation not used."""


class Recorder:
    """Records the taps of one pass and, where activations are given, puts them in their place."""

    def __init__(self, given: Mapping[str, Array] | None = None) -> None:
        self.trace: Trace = {}
        self._given = given or {}

    def __call__(self, tap: str, value: Array) -> Array:
        """Record `value`, and return what the model shall go on with.

        Raises:
            TraceError: when the tap was already recorded in this pass.
        """
        if tap in self.trace:
            raise TraceError(f"{tap} was computed twice in one pass")
        self.trace[tap] = np.array(value, copy=True)
        if tap not in self._given:
            return value
        return self._given[tap].astype(value.dtype, copy=False)

    def finish(self) -> Trace:
        """The trace.

        Raises:
            TraceError: when an activation was given for a tap that never came by.
        """
        if unused := sorted(self._given.keys() - self.trace.keys()):
            raise TraceError(f"no module computed {', '.join(unused[:3])}")
        return self.trace
