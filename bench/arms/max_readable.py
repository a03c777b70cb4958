"""The model of `impl/model.py`, compiled by MAX; every new token computes the sequence anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bench.arms.base import Arm, ArmUnavailable
from bench.arms.caches import Watch, max_cache
from impl.generate import generate
from impl.next_token import WholeSequence
from impl.runtime import CompiledGPT2, DeviceError, check_device
from impl.sampling import Sampler
from reports.saved.environment import package_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from impl.next_token import NextToken
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class MaxReadable(Arm):
    """What `python -m impl` runs; MAX takes its threads from the CPU affinity."""

    compiles: ClassVar[bool] = True
    _all: Callable[[Array], Array]
    _last: NextToken

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        try:
            check_device(device)
        except DeviceError as error:
            raise ArmUnavailable(str(error)) from error
        self._checkpoint = checkpoint
        self._device = device
        self.runtime = f"max {package_version('max')}"
        self.weight_bytes = sum(array.nbytes for array in checkpoint.weights.values())

    def compile(self, workloads: Sequence[Workload]) -> None:
        """Compile the program of all logits, that of the last position's, or both."""
        arguments = self._checkpoint.config, self._checkpoint.weights, self._device
        watch = Watch(max_cache())
        if any(workload.logits_policy == "all" for workload in workloads):
            self._all = CompiledGPT2(*arguments)
        if any(workload.logits_policy == "last" for workload in workloads):
            self._last = WholeSequence(*arguments)
        self.cache = watch.cache()

    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`."""
        return self._all(ids) if logits == "all" else self._last.logits(ids)[:, None]

    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation, through the loop that `python -m impl generate` uses."""
        tokens = []
        for step in generate(self._last, ids, max_new_tokens=n_new, sampler=Sampler(0.0)):
            tokens.append(step.tokens)
            stamp()
        return np.stack(tokens, axis=1)
