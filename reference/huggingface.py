"""Hugging Face's GPT-2 as the reference: eager attention, eval mode, any precision, tapped."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from reference.dtypes import DTYPES
from reference.taps import INPUT
from reference.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from impl.config import GPT2Config
    from reference.checkpoint import Checkpoint
    from reference.trace import Array, Trace


class HuggingFaceReference:
    """transformers' `GPT2LMHeadModel` on the weights of a checkpoint.

    Args:
        checkpoint: configuration and weights.
        dtype: torch.float32 (the reference), torch.float64, or what the candidate declares.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.model = load_model(checkpoint, dtype)

    def trace(self, ids: Array, given: Mapping[str, Array] | None = None) -> Trace:
        """Run on token ids `[batch, sequence]` and return every module's input and output.

        Args:
            ids: int64 token ids.
            given: activations by tap; each replaces what the module there computed.
        """
        recorder = Recorder(given)
        with self.watched(recorder):
            self.logits(ids)
        return recorder.finish()

    @contextmanager
    def watched(self, recorder: Callable[[str, Array], Array]) -> Iterator[None]:
        """While this context lasts, what every module takes and returns passes by `recorder`."""
        handles = []
        for path, module in self.model.named_modules():
            if not path:
                continue
            handles.append(module.register_forward_pre_hook(_input_hook(path, recorder)))
            handles.append(module.register_forward_hook(_output_hook(path, recorder)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of an untapped pass."""
        with torch.inference_mode():
            return _array(self.model(torch.from_numpy(ids), use_cache=False).logits)


def load_model(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """A `GPT2LMHeadModel` in eval mode, checked to hold exactly the checkpoint's weights."""
    with torch.device("meta"):  # no initial values are drawn; what is not loaded has no memory
        model = transformers.GPT2LMHeadModel(_config(checkpoint.config))
    state = {name: torch.from_numpy(np.array(w)) for name, w in checkpoint.weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    tied = ["lm_head.weight"] if checkpoint.config.tie_word_embeddings else []
    if unexpected or sorted(missing) != tied:
        raise RuntimeError(f"transformers did not take {unexpected} and lacks {missing}")
    model.tie_weights()
    return model.to(dtype).eval()


def _config(config: GPT2Config) -> Any:
    """The same sizes as transformers' own configuration, with eager attention."""
    return transformers.GPT2Config(
        **dataclasses.asdict(config),
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
    )


def _array(tensor: torch.Tensor) -> Array:
    """A tensor's numbers, which NumPy would not take as bfloat16."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        bits: Array = tensor.contiguous().view(torch.uint16).numpy()
        return bits.view(DTYPES["bfloat16"])
    result: Array = tensor.numpy()
    return result


def _tensor(array: Array) -> torch.Tensor:
    """The other way round."""
    if array.dtype == DTYPES["bfloat16"]:
        bits = np.ascontiguousarray(array).view(np.uint16)
        return torch.from_numpy(bits).view(torch.bfloat16)
    return torch.from_numpy(array)


def _to_numpy(value: Any) -> Array | None:
    """The first tensor of what a module takes or returns, if there is one."""
    if isinstance(value, torch.Tensor):
        return _array(value)
    if hasattr(value, "last_hidden_state"):
        return _to_numpy(value.last_hidden_state)
    return _to_numpy(value[0]) if isinstance(value, tuple) and value else None


def _input_hook(path: str, recorder: Callable[[str, Array], Array]) -> Any:
    def hook(_: torch.nn.Module, args: tuple[Any, ...]) -> None:
        value = _to_numpy(args)
        if value is not None:
            recorder(path + INPUT, value)

    return hook


def _output_hook(path: str, recorder: Callable[[str, Array], Array]) -> Any:
    def hook(_: torch.nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        value = _to_numpy(output)
        if value is None:
            return None
        kept = recorder(path, value)
        return None if kept is value else _replaced(output, _tensor(kept))

    return hook


def _replaced(output: Any, tensor: torch.Tensor) -> Any:
    """`output` with its first tensor replaced, in the form in which the module returned it."""
    if isinstance(output, torch.Tensor):
        return tensor
    if hasattr(output, "last_hidden_state"):
        output.last_hidden_state = tensor
        return output
    return (tensor, *output[1:])
