"""The model of `impl`, compiled once; every checkpoint's weights are bound to the same program."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from impl.runtime import build, open_device
from verify.candidate.model_graphs import BoundCandidate, Candidate
from verify.candidate.program import CompiledProgram
from verify.candidate.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from impl.config import GPT2Config
    from reference.trace import Array
    from verify.candidate.staging import Staged


class OneProgram(Candidate):
    """A traced model that counts how often it is compiled, and how long binding takes.

    Args:
        config: of every checkpoint.
        device: name of the device.

    Attributes:
        compiled_programs: how many there are.
        bind_s: what the last binding of weights took, in seconds; None before the first.
    """

    def __init__(self, config: GPT2Config, device: str) -> None:
        opened = open_device(device)
        staged = Staging(build(config, opened), opened).staged()
        super().__init__(staged, opened, self._counted)
        self.compiled_programs = 0
        self.bind_s: float | None = None

    def _counted(self, staged: Staged) -> CompiledProgram:
        self.compiled_programs += 1
        return CompiledProgram(staged.program.program(), self.device, libraries=staged.libraries)

    def bind(self, weights: Mapping[str, Array]) -> BoundCandidate:
        """The program with these weights; compiled before, it takes milliseconds."""
        self.compile()
        started = time.perf_counter()
        bound = super().bind(weights)
        self.bind_s = time.perf_counter() - started
        return bound
