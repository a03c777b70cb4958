"""The model of `impl/model.py`, compiled by MAX; every new token computes the sequence anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bench.arms import ArmUnavailable
from impl.generate import generate
from impl.next_token import WholeSequence
from impl.runtime import CompiledGPT2, DeviceError, check_device
from impl.sampling import Sampler

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.workloads import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class MaxReadable:
    """What `python -m impl` runs; MAX takes its threads from the CPU affinity."""

    compiles: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        try:
            check_device(device)
        except DeviceError as error:
            raise ArmUnavailable(str(error)) from error
        self._checkpoint = checkpoint
        self._device = device

    def compile(self, workloads: list[Workload]) -> None:
        """Compile the program of forward passes, that of generation, or both."""
        arguments = self._checkpoint.config, self._checkpoint.weights, self._device
        if any(workload.n_prompt for workload in workloads):
            self._forward = CompiledGPT2(*arguments)
        if any(workload.n_gen for workload in workloads):
            self._next_token = WholeSequence(*arguments)

    def forward(self, ids: Array) -> Array:
        """Logits of every position: float32 `[batch, sequence, vocab_size]`."""
        return self._forward(ids)

    def generate(self, ids: Array, n_gen: int) -> Array:
        """Greedy continuation, through the loop that `python -m impl generate` uses."""
        steps = generate(self._next_token, ids, max_new_tokens=n_gen, sampler=Sampler(0.0))
        return np.stack([step.tokens for step in steps], axis=1)
