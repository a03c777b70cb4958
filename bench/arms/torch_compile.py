"""transformers' GPT-2 compiled by torch.compile, with a static KV cache for its steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch._inductor.runtime.cache_dir_utils import cache_dir
from transformers import StaticCache

from bench.arms.caches import Watch
from bench.arms.torch_eager import TorchEager

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class TorchCompile(TorchEager):
    """Every shape is compiled on its own, before anything is timed.

    Forward passes and contexts are compiled for their length; steps write into a cache of
    `n_positions` slots, so that one program serves them all. Attention is PyTorch's own
    (`sdpa`), which is what a user who compiles would choose.
    """

    compiles: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        super().__init__(checkpoint, device, threads)
        self._model.set_attn_implementation("sdpa")
        self._run = torch.compile(self._model, dynamic=False)
        self._caches: dict[int, StaticCache] = {}

    @torch.inference_mode()
    def compile(self, workloads: Sequence[Workload]) -> None:
        """Call every shape once, which compiles it."""
        watch = Watch(Path(cache_dir()))
        torch._dynamo.config.recompile_limit = 8 * max(8, len(workloads))
        for workload in workloads:
            ids = torch.zeros(workload.batch, workload.prompt_length, dtype=torch.int64).numpy()
            if workload.n_gen:
                self.generate(ids, 3, lambda: None)
            else:
                self.forward(ids, workload.logits)
        self.cache = watch.cache()

    @torch.inference_mode()
    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`."""
        tokens, cache, chosen = torch.from_numpy(ids).to(self._device), self._cache(len(ids)), []
        position = torch.arange(ids.shape[1], device=self._device)
        for _ in range(n_new):
            output = self._run(
                tokens, past_key_values=cache, cache_position=position,
                position_ids=position[None], use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)  # [batch, 1]
            position = position[-1:] + 1
            chosen.append(tokens.cpu())
            stamp()
        result: Array = torch.cat(chosen, dim=1).numpy()
        return result

    def kv_bytes(self, workload: Workload) -> int:
        """Keys and values, for as many tokens as the model has positions."""
        width = 2 * self._config.n_layer * self._config.n_embd * self.dtype.itemsize
        return workload.batch * self._config.n_positions * width

    def _cache(self, batch: int) -> StaticCache:
        if batch not in self._caches:
            self._caches[batch] = StaticCache(
                config=self._model.config, max_cache_len=self._config.n_positions
            )
        self._caches[batch].reset()
        return self._caches[batch]
