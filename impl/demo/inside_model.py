"""The readable model compiled so that it returns, besides its logits, what each head looks at.

    shares[block, head, query, key]     softmax(q k^T / sqrt(head_dim) + mask); rows sum to 1

The same is computed in NumPy and float64 by `reference.oracle`, to hold against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from max.experimental.nn import Module
from max.experimental.tensor import Tensor

from impl.compiling import compile_announced
from impl.log_thread import log_thread_yields
from impl.runtime import build, check_ids, input_type, open_device, to_device
from impl.weights import from_hugging_face
from reference.oracle import Oracle
from reference.taps import LOGITS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from impl.model import GPT2LMHeadModel
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model computes for one row of tokens.

    Attributes:
        logits: `[length, vocab_size]`.
        shares: how much of each key's value a query takes, `[block, head, query, key]`.
    """

    logits: Array
    shares: Array


class WithShares(Module[[Tensor], list[Tensor]]):
    """A GPT-2 that returns its logits, then `[batch, head, query, key]` of each block."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.model = model

    def forward(self, input_ids: Tensor) -> list[Tensor]:
        """Compute the logits, and keep what attention computes on the way."""
        kept: list[Tensor] = []
        for block in self.model.transformer.h:
            attention = block.attn
            attention.shares = partial(_keeping, kept, type(attention).shares.__get__(attention))
        return [self.model(input_ids), *kept]


def _keeping(kept: list[Tensor], shares: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    kept.append(shares(*arguments))
    return kept[-1]


class InsideModel:
    """The readable model in MAX, with its attention to be seen.

    Args:
        checkpoint: configuration and weights.
        device: its name.

    Raises:
        impl.runtime.DeviceError: if the device is not there.
        impl.weights.WeightsError: if the weights do not fit the configuration.
    """

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self.config, self.device = checkpoint.config, open_device(device)
        # MAX reads the weights where they are: this object keeps them alive and unchanged.
        weights = from_hugging_face(self.config, checkpoint.weights)
        self._weights = {f"model.{name}": array for name, array in weights.items()}
        model = WithShares(build(self.config, self.device))
        self._run = compile_announced(
            "the model with its attention",
            f"with shares {self.config} {self.device}",
            lambda: model.compile(input_type(self.device), weights=self._weights),
        )

    def __call__(self, ids: Array) -> Seen:
        """What it computes for one row of token ids, int64 `[1, length]`."""
        tokens = to_device(check_ids(self.config, ids), self.device)
        with log_thread_yields(on_host=self.device.is_host):
            logits, *shares = (result.to_numpy().copy() for result in self._run.execute_raw(tokens))
        return Seen(logits[0], np.stack([each[0] for each in shares]))


class _Watching(Oracle):
    """The oracle, which keeps what its softmax computes."""

    kept: list[Array]

    def softmax(self, x: Array) -> Array:
        shares = super().softmax(x)
        self.kept.append(shares)
        return shares


def in_float64(checkpoint: Checkpoint, ids: Array) -> Seen:
    """The same in NumPy and float64; ids int64 `[1, length]`."""
    oracle = _Watching(checkpoint)
    oracle.kept = []
    logits = oracle.trace(ids)[LOGITS]
    return Seen(logits[0], np.stack([each[0] for each in oracle.kept]))
