"""transformers' GPT-2 in PyTorch: eager attention, float32, with its own KV cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from bench.arms import ArmUnavailable
from reference.huggingface import load_model

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.workloads import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class TorchEager:
    """`GPT2LMHeadModel`, called directly: `generate()` would add bookkeeping to each step."""

    compiles: ClassVar[bool] = False

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = _torch_device(device)
        self._model = load_model(checkpoint, torch.float32).to(self._device)

    def compile(self, workloads: list[Workload]) -> None:
        """Nothing: eager PyTorch runs as it is written."""

    @torch.inference_mode()
    def forward(self, ids: Array) -> Array:
        """Logits of every position: float32 `[batch, sequence, vocab_size]`."""
        tokens = torch.from_numpy(ids).to(self._device)
        result: Array = self._model(tokens, use_cache=False).logits.cpu().numpy()
        return result

    @torch.inference_mode()
    def generate(self, ids: Array, n_gen: int) -> Array:
        """Greedy continuation: int64 `[batch, n_gen]`; each step computes one position."""
        tokens, cache, chosen = torch.from_numpy(ids).to(self._device), None, []
        for _ in range(n_gen):
            output = self._model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)  # [batch, 1]
            chosen.append(tokens)
        result: Array = torch.cat(chosen, dim=1).cpu().numpy()
        return result


def _torch_device(name: str) -> torch.device:
    """PyTorch's name of a device of MAX's."""
    if name == "cpu":
        return torch.device("cpu")
    index = int(name.partition(":")[2] or 0)
    if torch.cuda.device_count() <= index:
        raise ArmUnavailable(f"PyTorch finds no {name} on this machine")
    return torch.device("cuda", index)
