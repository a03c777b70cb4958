"""A GPT-2 with one fault, which is the compiler's: block 2 builds its mask by a comparison."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.tensor import Tensor

from impl.config import GPT2Config
from impl.model import GPT2Attention, GPT2LMHeadModel


def where_mask(x: Tensor) -> Tensor:
    """-inf where the key lies ahead of the query, else 0, as `[S, S]`; correct by its formula."""
    positions = F.arange(0, x.shape[-2], dtype=DType.int64, device=x.device)
    ahead = positions.unsqueeze(0) > positions.unsqueeze(1)  # key > query
    blocked = F.constant(-math.inf, dtype=x.dtype, device=x.device)
    return F.where(ahead, blocked, F.constant(0.0, dtype=x.dtype, device=x.device))


class WhereMaskAttention(GPT2Attention):
    """impl's attention with `where_mask` in place of `causal_mask`."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = F.chunk(self.c_attn(x), 3, axis=-1)
        query, key, value = map(self.split_heads, (query, key, value))
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim) + where_mask(x)
        return self.c_proj(self.merge_heads(F.softmax(scores) @ value))


def model(config: GPT2Config) -> GPT2LMHeadModel:
    """impl's model with the attention of block 2 replaced."""
    faulty = GPT2LMHeadModel(config)
    faulty.transformer.h[2].attn = WhereMaskAttention(config)
    return faulty
