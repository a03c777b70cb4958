"""transformers' GPT-2 in PyTorch: eager attention, with its own KV cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from bench.arms import tf32
from bench.arms.base import Arm, ArmUnavailable
from reference.huggingface import load_model

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class TorchEager(Arm):
    """`GPT2LMHeadModel`, called directly: `generate()` would add bookkeeping to each step."""

    dtype: ClassVar[torch.dtype] = torch.float32

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = torch_device(device)
        if self._device.type != "cpu" and (chosen := tf32.allowed()) is not None:
            torch.set_float32_matmul_precision("high" if chosen else "highest")
        self._config = checkpoint.config
        self._model = load_model(checkpoint, self.dtype).to(self._device)
        self._run: Any = self._model  # what is called; the model itself, or compiled from it
        self.runtime = f"torch {torch.__version__}"
        self.kernel_path = matmul_precision(self._device)
        self.weight_bytes = sum(p.numel() * p.element_size() for p in self._model.parameters())

    @torch.inference_mode()
    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`."""
        tokens = torch.from_numpy(ids).to(self._device)
        keep = 0 if logits == "all" else 1  # 0 means every position
        output = self._run(tokens, use_cache=False, logits_to_keep=keep)
        return on_host(output.logits)

    @torch.inference_mode()
    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`; each step computes one position."""
        tokens, cache, chosen = torch.from_numpy(ids).to(self._device), None, []
        for _ in range(n_new):
            output = self._run(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)  # [batch, 1]
            chosen.append(tokens.cpu())
            stamp()
        result: Array = torch.cat(chosen, dim=1).numpy()
        return result

    def kv_bytes(self, workload: Workload) -> int:
        """Keys and values grow with the sequence: this many at the end."""
        width = 2 * self._config.n_layer * self._config.n_embd * self.dtype.itemsize
        return workload.batch * workload.length * width

    def peak_device_mib(self) -> float | None:
        """Most memory that PyTorch took on the accelerator."""
        if self._device.type == "cpu":
            return None
        return torch.cuda.max_memory_allocated(self._device) / 2**20


class TorchEagerBF16(TorchEager):
    """The same with weights and activations in bfloat16."""

    dtype: ClassVar[torch.dtype] = torch.bfloat16


def torch_device(name: str) -> torch.device:
    """PyTorch's name of a device of MAX's."""
    if name == "cpu":
        return torch.device("cpu")
    index = int(name.partition(":")[2] or 0)
    if torch.cuda.device_count() <= index:
        raise ArmUnavailable(f"PyTorch finds no {name} on this machine")
    return torch.device("cuda", index)


def matmul_precision(device: torch.device) -> str:
    """How PyTorch multiplies float32 there: with TF32's 10 bits of mantissa, or all of them."""
    if device.type == "cpu":
        return f"float32 matmul: {torch.get_float32_matmul_precision()}"
    used = torch.backends.cuda.matmul.allow_tf32
    return f"float32 matmul: {'TF32' if used else 'no TF32'}"


def on_host(logits: torch.Tensor) -> Array:
    """Logits as float32 numpy; the copy waits for the accelerator."""
    result: Array = logits.to("cpu", torch.float32).numpy()
    return result
