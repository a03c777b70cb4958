"""A GPT-2 whose attention multiplies factors of 16 bits, as its graph says and as GPUs do.

MAX 26.7.0 on a CPU keeps the sums of such products in 16 bits
(`verify/max_bugs/sums_in_16_bits.py`), which impl's attention avoids by computing in float32.
"""

import math

from max.experimental import functional as F
from max.experimental.tensor import Tensor

from impl.config import GPT2Config
from impl.model import GPT2Attention, GPT2LMHeadModel, causal_mask


class NarrowAttention(GPT2Attention):
    """impl's attention in the dtype of its activations."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = F.chunk(self.c_attn(x), 3, axis=-1)
        query, key, value = map(self.split_heads, (query, key, value))
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)
        scores = scores + causal_mask(x.shape[-2], scores.dtype, x.device)
        return self.c_proj(self.merge_heads(F.softmax(scores) @ value))


def model(config: GPT2Config) -> GPT2LMHeadModel:
    """impl's model with the attention of every block replaced."""
    narrow = GPT2LMHeadModel(config)
    for block in narrow.transformer.h:
        block.attn = NarrowAttention(config)
    return narrow
