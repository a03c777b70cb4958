"""PyTorch in a coarser dtype without that dtype's arithmetic: float32, results or inputs rounded.

A CPU without float16 arithmetic takes 40 times as long for a pass in float16 as for one in float32
(GPT-2 small, 128 tokens: 11.3 s and 0.26 s). What a coarse pass gets wrong comes from rounding, and
that can be had in float32: weights rounded, and the result of every operation that PyTorch
dispatches, activations, sums and attention weights alike. Inside an operation sums are float32's,
as they are in kernels for float16.

Where linear layers alone are coarse, their inputs are rounded as they come, each position by its
own scale to 8 bits: what CTranslate2, llama.cpp and OpenVINO do before they multiply by 8-bit
weights, with scales for rows or for parts of them.

Beside real passes in float16 the largest error of a logit, over the largest logit, came to 0.8 to
1.1 times theirs (`tiny`, six inputs of 32 and 128 tokens: 0.9e-3 to 1.4e-3 in both).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


STEPS = 127
"""Of 8 bits with a sign, on each side of 0."""


def eight_bits(x: torch.Tensor) -> torch.Tensor:
    """Every row of the last dimension in 255 steps, the largest value at the end of them."""
    scale = (x.abs().amax(dim=-1, keepdim=True) / STEPS).clamp(min=torch.finfo(x.dtype).tiny)
    return (x / scale).round() * scale


def round_inputs(model: torch.nn.Module, rounded: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """From now on, have every linear layer of a model see its input rounded."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            module.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0]), *inputs[1:]))


class RoundedResults(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Rounds the float32 results of every operation in its context to another dtype's values."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._dtype = dtype

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return tree_map_only(torch.Tensor, self._rounded, func(*args, **(kwargs or {})))

    def _rounded(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype != torch.float32:
            return tensor
        return tensor.to(self._dtype).to(torch.float32)
