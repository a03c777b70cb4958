"""GPT-2 as one function of ids and cache, to be exported: the form that peers' runtimes take.

    logits, keys and values = model(ids, rows, past keys and values)

The weights are transformers' own modules'; only the passing of the cache is written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from reference.huggingface import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from reference.checkpoint import Checkpoint


class CachedGPT2(torch.nn.Module):
    """A GPT-2 whose cache comes in and goes out."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.model = load_model(checkpoint, torch.float32)
        self.n_head = checkpoint.config.n_head

    def forward(
        self, ids: torch.Tensor, rows: torch.Tensor, past: list[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """Append tokens.

        Args:
            ids: int64 `[batch, sequence]`.
            rows: int64 `[m]`, the positions of `ids` whose logits are wanted.
            past: for each layer keys and values, `[batch, head, past, head_dim]`.

        Returns:
            Logits `[batch, m, vocab_size]`, then keys and values as `past`, longer by `sequence`.
        """
        body, count = self.model.transformer, ids.shape[1]
        before = past[0].shape[2]
        position = torch.arange(before, before + count, device=ids.device)
        seen = torch.arange(before + count, device=ids.device)[None] <= position[:, None]
        x = body.wte(ids) + body.wpe(position)
        present: list[torch.Tensor] = []
        for layer, block in enumerate(body.h):
            attended, *kept = self._attention(
                block.attn, block.ln_1(x), past[2 * layer], past[2 * layer + 1], seen
            )
            x = x + attended
            x = x + block.mlp(block.ln_2(x))
            present += kept
        states = body.ln_f(x).index_select(1, rows)
        return (self.model.lm_head(states), *present)

    def _attention(
        self, attn: Any, x: torch.Tensor, past_key: torch.Tensor, past_value: torch.Tensor,
        seen: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        batch, count, width = x.shape
        query, key, value = (
            part.view(batch, count, self.n_head, -1).transpose(1, 2)
            for part in attn.c_attn(x).split(width, dim=2)
        )
        key, value = torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, scale=attn.scaling
        )
        return attn.c_proj(mixed.transpose(1, 2).reshape(batch, count, width)), key, value


def cache_names(layers: int, prefix: str) -> list[str]:
    """`past.0.key`, `past.0.value`, `past.1.key`, ..."""
    return [f"{prefix}.{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]


def export_onnx(checkpoint: Checkpoint, file: Path) -> None:
    """Write `model.onnx` with symbolic batch, sequence and past, by PyTorch's exporter."""
    config = checkpoint.config
    layers, shape = config.n_layer, (2, config.n_head, 3, config.head_dim)
    past = [torch.zeros(shape) for _ in range(2 * layers)]
    batch, sequence, before, rows = (
        torch.export.Dim(name, min=1, max=1 << 16) for name in ("batch", "sequence", "past", "rows")
    )
    inputs = (torch.zeros(2, 5, dtype=torch.int64), torch.tensor([1, 4]), past)
    torch.onnx.export(
        CachedGPT2(checkpoint).eval(),
        inputs,
        file,
        input_names=["ids", "rows", *cache_names(layers, "past")],
        output_names=["logits", *cache_names(layers, "present")],
        dynamic_shapes=(
            {0: batch, 1: sequence}, {0: rows}, [{0: batch, 2: before} for _ in past],
        ),
        dynamo=True,
        external_data=True,
        verbose=False,
    )  # fmt: skip
