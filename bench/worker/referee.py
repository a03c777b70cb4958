"""PyTorch in float32 as the referee of timed outputs, in a process that is never timed."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.judge.agreement import (
    COARSE_FACTOR,
    FLOAT32_FACTOR,
    RELATIVE_BOUND,
    Agreement,
    compare_logits,
    compare_tokens,
    is_coarse,
    tokens_problem,
)
from bench.worker.allowance import Allowances
from impl.packing import held_state
from reference.huggingface import load_model
from reports.tables.classes import EXACT, ROUNDED

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.workload.workload import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

NEWEST = 4
"""Passes that are remembered at least: the two inputs of a quad come once from every arm."""

KEPT_BYTES = 1 << 30
"""Logits that are remembered beside these, the first ones that came: every generation is given the
same inputs again."""


@dataclass(frozen=True, slots=True)
class Exactness:
    """How exact an arm computes.

    Attributes:
        relative: the largest difference to PyTorch in float32, over the largest logit; None where
            the outputs could not be compared.
        error_class: the finest dtype whose error is as large, one of `EXACT`; empty where it is
            larger than any.
        message: why they could not be compared.
    """

    relative: float | None
    error_class: str
    message: str


class Referee:
    """Compares outputs with the reference's on the same token ids."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        torch.set_num_threads(threads)
        self._checkpoint = checkpoint
        self._models = {"float32": load_model(checkpoint, torch.float32)}
        self._vocab_size = checkpoint.config.vocab_size
        self._allowances = Allowances(checkpoint, self._models["float32"])
        self._kept = Kept()

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
            expected = self._logits(ids, rows, dtype)
            return compare_logits(output, expected, self._allowed(workload, expected, dtype))
        shape = workload.batch, workload.n_new
        if problem := tokens_problem(output, shape, self._vocab_size):
            return Agreement(False, None, None, problem)
        seen = np.concatenate([ids, output[:, :-1]], axis=1)
        expected = self._logits(seen, slice(-workload.n_new, None), dtype)
        allowed = self._allowed(workload, expected, dtype)
        return compare_tokens(output, workload.n_new, expected, allowed)

    def exactness(self, workload: Workload, ids: Array, output: Array) -> Exactness:
        """Of which dtype a forward pass's error is, whatever dtype it was asked for.

        Args:
            workload: a forward pass.
            ids: its inputs.
            output: the logits of PyTorch's model or of another.
        """
        rows = slice(None) if workload.logits_policy == "all" else slice(-1, None)
        expected = self._logits(ids, rows, "float32")
        seen = compare_logits(output, expected, 0.0)
        if seen.difference is None:
            return Exactness(None, "", seen.message)
        relative = seen.difference / float(np.abs(expected).max())
        kinds = (kind for kind in EXACT if relative <= self._most(workload, kind))
        return Exactness(relative, next(kinds, ""), "")

    def _most(self, workload: Workload, kind: str) -> float:
        """The largest error of a dtype, over the largest logit."""
        factor = FLOAT32_FACTOR if kind == "float32" else COARSE_FACTOR
        return factor * self._allowances.ratio(workload, kind)

    def prepare(self, workload: Workload, dtype: str) -> None:
        """Find out how far a dtype may be off, where that is not known yet."""
        if is_coarse(dtype):
            self._allowances.ratio(workload, dtype)

    def _allowed(self, workload: Workload, expected: Array, dtype: str) -> float:
        """How far outputs may be from the reference's, in logits."""
        largest = float(np.abs(expected).max())
        if is_coarse(dtype):
            return COARSE_FACTOR * self._allowances.ratio(workload, dtype) * largest
        return RELATIVE_BOUND * largest

    def _logits(self, ids: Array, rows: slice, dtype: str) -> Array:
        """The reference's; where weights alone are coarse, those of a model that has them."""
        name = dtype if dtype.endswith(ROUNDED) else "float32"
        key = name.encode() + repr((ids.shape, rows)).encode() + ids.tobytes()
        found = self._kept.get(key)
        if found is None:
            tokens = torch.from_numpy(np.ascontiguousarray(ids))
            with torch.inference_mode():
                logits = self._model(name)(tokens, use_cache=False).logits
            found = np.ascontiguousarray(logits.numpy()[:, rows])
            self._kept.put(key, found)
        return found

    def _model(self, name: str) -> Any:
        if name not in self._models:
            held = held_state(self._checkpoint.weights, name.removesuffix(ROUNDED))
            rounded = dataclasses.replace(self._checkpoint, weights=held)
            self._models[name] = load_model(rounded, torch.float32)
        return self._models[name]


class Kept:
    """Arrays by key: the newest few, and the first ones that fit into so many bytes."""

    def __init__(self, most_bytes: int = KEPT_BYTES, newest: int = NEWEST) -> None:
        self._left_bytes, self._most_newest = most_bytes, newest
        self._first: dict[bytes, Array] = {}
        self._newest: OrderedDict[bytes, Array] = OrderedDict()

    def get(self, key: bytes) -> Array | None:
        """The array, or None."""
        return self._first.get(key, self._newest.get(key))

    def put(self, key: bytes, array: Array) -> None:
        """Keep an array, for as long as there is room or few others come."""
        if array.nbytes <= self._left_bytes:
            self._left_bytes -= array.nbytes
            self._first[key] = array
            return
        self._newest[key] = array
        while len(self._newest) > self._most_newest:
            self._newest.popitem(last=False)
