"""PyTorch in float32 as the referee of timed outputs, in a process that is never timed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.agreement import Agreement, compare_logits, compare_tokens, tokens_problem
from reference.huggingface import HuggingFaceReference

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.workloads import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

KEPT = 2
"""Passes that are remembered: the two inputs of a quad come once from every arm."""


class Referee:
    """Compares outputs with the reference's on the same token ids."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        torch.set_num_threads(threads)
        self._reference = HuggingFaceReference(checkpoint)
        self._vocab_size = checkpoint.config.vocab_size
        self._kept: OrderedDict[bytes, Array] = OrderedDict()

    def check(self, workload: Workload, ids: Array, output: Array) -> Agreement:
        """Judge one turn's output: logits of a forward pass, or generated tokens."""
        if not workload.n_gen:
            return compare_logits(output, self._logits(ids))
        shape = workload.batch, workload.n_gen
        if problem := tokens_problem(output, shape, self._vocab_size):
            return Agreement(False, None, None, problem)
        seen = np.concatenate([ids, output[:, :-1]], axis=1)
        return compare_tokens(output, workload.n_gen, self._logits(seen)[:, -workload.n_gen :])

    def _logits(self, ids: Array) -> Array:
        key = repr(ids.shape).encode() + ids.tobytes()
        if key not in self._kept:
            self._kept[key] = self._reference.logits(np.ascontiguousarray(ids))
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]
