"""A GPT-2 that is right as written and wrong as compiled: block 2's mask is made by a comparison.

MAX 26.7.0 on a CPU drops that mask when it fuses attention (`verify/max_bugs/where_mask.py`), and
block 2 attends to every key. What was seen with the `tiny` sizes:

- The plain, the tapped and the forced graph are wrong alike: taps are what modules take and return,
  the mask is neither, and so looking at every module changes no logit (observer effect 0.0).
- A single token is right; 2, 9, 33 and 256 are wrong. `given-1x9` in isolation: what
  `h.2.attn.c_proj` is given is off by 1.5e6 times what is allowed. Perplexity 32.3, not 18.5.
- Returning the mask beside the logits makes the logits right: a tap on the mask would hide it.
- Wrong in the same way: positions of int32, a fill of -1e9, a mask of `[1, 1, S, S]`, the query
  scaled in place of the scores, a product with 1 / sqrt(K) in place of the quotient, one mask
  shared by two blocks, and all blocks masked so. None of these crashed the compiler.
- `where(ahead, -inf, scores)`, without a sum, gave NaN everywhere, even for a single token.
- What the fault changes needs no oracle to be seen: causality, token-0, prefix and right-padding of
  `verify.checks.invariances` fail; batch, permutation and repeatability hold.
"""

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
