"""Any decoder of transformers as the reference: float32, float64, and other orders of evaluation.

transformers' modules cast to float32 where they want more than bfloat16 (LlamaRMSNorm, softmax,
rotary embeddings); in a float64 model that would throw half the bits away, so that those casts are
kept from happening.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch.overrides import TorchFunctionMode

from reference.checkpoint import CheckpointError
from reference.huggingface import HuggingFaceReference
from reference.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from reference.trace import Array, Trace

ORDERS = ("reversed", "pairwise", "sequential")
"""Orders of the sums of a matrix product, besides torch's own."""


class Decoder(HuggingFaceReference):
    """A causal language model of transformers, tapped.

    Args:
        model: in eval mode with eager attention; its parameters' dtype is what it computes in.
        order: of the sums, one of `ORDERS`; None for torch's own.
    """

    def __init__(self, model: Any, order: str | None = None) -> None:
        self.model = model
        self.dtype = next(model.parameters()).dtype
        self.order = order
        self.tap: Callable[[str, Array], Array] = Recorder()

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]`."""
        with self._arithmetic():
            return super().logits(ids)

    def language_model(self, ids: Array) -> None:
        """Run with `self.tap` at every module, as the envelope of a free run asks for."""
        with self.watched(self.tap):
            self.logits(ids)

    def trace(self, ids: Array, given: Mapping[str, Array] | None = None) -> Trace:
        """As `HuggingFaceReference.trace`; given activations that no module computes are errors."""
        recorder = Recorder(given)
        with self.watched(recorder):
            self.logits(ids)
        return recorder.finish()

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float64:
            return KeepFloat64()
        return Reordered(self.order) if self.order else nullcontext()


def load_decoder(folder: str) -> Any:
    """The float32 model of a folder that transformers wrote.

    Raises:
        CheckpointError: where transformers cannot read it.
    """
    transformers.utils.logging.disable_progress_bar()  # it takes a moment, and stderr is for errors
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise CheckpointError(f"transformers cannot read a decoder in {folder}: {first}") from error
    return model.eval()


def in_float64(model: Any) -> Decoder:
    """The oracle: the same model in float64."""
    return Decoder(copy.deepcopy(model).double())


class KeepFloat64(TorchFunctionMode):
    """Casts of float64 to float32, and softmax in float32, do not happen."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, unless it would lose bits."""
        kwargs = dict(kwargs or {})
        wide = bool(args) and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64
        if func is torch.Tensor.float:
            return args[0].double()
        if wide and func is torch.Tensor.to:
            args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        if wide and kwargs.get("dtype") is torch.float32:
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)


class Reordered(TorchFunctionMode):
    """Matrix products and means summed in another order."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self._product = {"reversed": _reversed, "pairwise": _pairwise, "sequential": _sequential}[
            order
        ]

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, products and means in this order."""
        kwargs = kwargs or {}
        if func is torch.nn.functional.linear:
            x, weight, *rest = args
            bias = rest[0] if rest else kwargs.get("bias")
            product = self._product(x, weight.T)
            return product if bias is None else product + bias
        if func in (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__):
            return self._product(*args)
        if (
            func in (torch.mean, torch.Tensor.mean)
            and args[1:] in ((-1,), ())
            and (args[1:] or kwargs.get("dim") == -1)
        ):
            return func(args[0].flip(-1), *args[1:], **kwargs)
        return func(*args, **kwargs)


def _reversed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a.flip(-1) @ b.flip(-2)


def _pairwise(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    size = a.shape[-1]
    if size <= 8:
        return a @ b
    half = size // 2
    first = _pairwise(a[..., :half], b[..., :half, :])
    return first + _pairwise(a[..., half:], b[..., half:, :])


def _sequential(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    total = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        total = total + a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return total
