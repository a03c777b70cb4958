"""PyTorch in float32 as the referee of timed outputs, in a process that is never timed."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.judge.agreement import (
    COARSE_FACTOR,
    RELATIVE_BOUND,
    Agreement,
    compare_logits,
    compare_tokens,
    tokens_problem,
)
from impl.packing import held_state
from reference.huggingface import load_model

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.workload.workload import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

ROUNDED = " weights"

KEPT = 4
"""Passes that are remembered: the two inputs of a quad come once from every arm, in two dtypes."""


class Referee:
    """Compares outputs with the reference's on the same token ids."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        torch.set_num_threads(threads)
        self._checkpoint = checkpoint
        self._models = {"float32": load_model(checkpoint, torch.float32)}
        self._vocab_size = checkpoint.config.vocab_size
        self._kept: OrderedDict[bytes, Array] = OrderedDict()

    def check(
        self, workload: Workload, ids: Array, output: Array, dtype: str = "float32"
    ) -> Agreement:
        """Judge one turn's output: logits of a forward pass, or generated tokens.

        Args:
            workload: what was timed.
            ids: its inputs, int64 `[batch, prompt_length]`.
            output: logits, or tokens `[batch, n_new]`.
            dtype: of the arm's arithmetic, or `bfloat16 weights`, `int8 weights` where the weights
                alone are coarser.
        """
        rows = slice(None) if workload.logits_policy == "all" else slice(-1, None)
        if not workload.n_gen:
            expected, allowed = self._expected(ids, rows, dtype)
            return compare_logits(output, expected, allowed)
        shape = workload.batch, workload.n_new
        if problem := tokens_problem(output, shape, self._vocab_size):
            return Agreement(False, None, None, problem)
        seen = np.concatenate([ids, output[:, :-1]], axis=1)
        expected, allowed = self._expected(seen, slice(-workload.n_new, None), dtype)
        return compare_tokens(output, workload.n_new, expected, allowed)

    def _expected(self, ids: Array, rows: slice, dtype: str) -> tuple[Array, float]:
        """The reference's logits of some rows, and how far others may be from them."""
        expected = self._logits(ids, "float32")[:, rows]
        if dtype.endswith(ROUNDED):  # weights alone are coarse, and this is what they compute
            expected = self._logits(ids, dtype)[:, rows]
        if dtype == "float32" or dtype.endswith(ROUNDED):
            return expected, RELATIVE_BOUND * float(np.abs(expected).max())
        coarse = self._logits(ids, dtype)[:, rows]
        return expected, COARSE_FACTOR * float(np.abs(coarse - expected).max())

    def _logits(self, ids: Array, dtype: str) -> Array:
        key = dtype.encode() + repr(ids.shape).encode() + ids.tobytes()
        if key not in self._kept:
            tokens = torch.from_numpy(np.ascontiguousarray(ids))
            with torch.inference_mode():
                logits = self._model(dtype)(tokens, use_cache=False).logits
            self._kept[key] = logits.float().numpy()
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _model(self, dtype: str) -> Any:
        if dtype not in self._models:
            if dtype.endswith(ROUNDED):
                held = held_state(self._checkpoint.weights, dtype.removesuffix(ROUNDED))
                rounded = dataclasses.replace(self._checkpoint, weights=held)
                self._models[dtype] = load_model(rounded, torch.float32)
            else:
                self._models[dtype] = load_model(self._checkpoint, getattr(torch, dtype))
        return self._models[dtype]
