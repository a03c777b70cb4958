r"""Each position takes from those before it what it asks for.

## Afterwards

The only part in which positions meet.
"""

import math

from max.experimental import functional as F
from max.experimental.nn import Linear, Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config
from step_02 import causal_mask


class GPT2Attention(Module):
    """Causal self-attention of several heads: [B, S, D] -> [B, S, D]."""

    def __init__(self, config: GPT2Config) -> None:
        self.n_head = config.n_head
        self.head_dim = config.n_embd // config.n_head
        # TODO 1: the projection into queries, keys and values, and the one of the result
        # calls: `Linear(n_in, n_out)`; GPT-2's checkpoints hold the first three as one layer
        # look: how many features three vectors of n_embd have together
        # formula: c_attn: D -> 3D; c_proj: D -> D
        # thought: one wide product is faster than three, and computes the same
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = Linear(config.n_embd, config.n_embd)
        # done 1

    def forward(self, x: Tensor) -> Tensor:
        # TODO 2: queries, keys and values, each cut into heads
        # calls: `F.chunk(x, 3, axis=-1)` gives three equal parts in order; `self.split_heads`
        # look: in which order query, key and value lie side by side
        # formula: q, k, v = c_attn(x)
        # thought: first cut the 3D features into three, then each of the three into heads
        query, key, value = F.chunk(self.c_attn(x), 3, axis=-1)  # 3 x [B, S, D]
        query, key, value = map(self.split_heads, (query, key, value))  # 3 x [B, H, S, head_dim]
        # done 2

        # TODO 3: how well each key answers each query
        # calls: `a @ b` multiplies the last two axes as matrices, for each row and head alone;
        #   `x.transpose(-2, -1)` exchanges the last two axes
        # look: which axis the sum runs over, and which number keeps its size in bounds
        # formula: q k^T / sqrt(head_dim)
        # thought: a sum of n products of variance 1 has variance n, and n is one head's features
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)  # [B, H, S, S]
        # done 3

        # TODO 4: hide the keys that lie ahead
        # calls: `causal_mask(length, dtype, device)` of step 2; `x.shape[1]` is S, and a Tensor has
        #   `dtype` and `device`
        # look: the mask is 0 or -inf, so how is it put on the scores?
        # formula: scores + mask, before softmax
        # thought: hidden after softmax, the weights would no longer add up to 1
        masked = scores + causal_mask(x.shape[1], scores.dtype, x.device)  # [B, H, S, S]
        # done 4

        # TODO 5: the mean of the values, weighted by the scores
        # calls: `F.softmax(x, axis=-1)` makes weights that add up to 1 along an axis; `@`
        # look: along which axis the weights of one query lie
        # formula: softmax(scores + mask) v
        # thought: rows are queries: each row of weights is spent on the keys, the last axis
        mixed = F.softmax(masked, axis=-1) @ value  # [B, H, S, head_dim]
        # done 5

        # TODO 6: heads side by side again, and projected
        # calls: `self.merge_heads`, `self.c_proj`
        # look: what turns [B, H, S, head_dim] into [B, S, D]
        # formula: c_proj(merged)
        # thought: without the last projection heads would never be mixed
        return self.c_proj(self.merge_heads(mixed))  # [B, S, D]
        # done 6

    def split_heads(self, x: Tensor) -> Tensor:
        batch, length = x.shape[0], x.shape[1]
        # TODO 7: cut the features into heads, and put heads in front of positions
        # calls: `x.reshape([...])` cuts axes in two; `x.transpose(1, 2)` exchanges two axes
        # look: a reshape alone can cut an axis in two, but never exchange two axes
        # formula: result[b, h, s, k] = x[b, s, h * head_dim + k]
        # thought: first [B, S, H, head_dim], whose last two axes are the old last one
        heads = x.reshape([batch, length, self.n_head, self.head_dim])  # [B, S, H, head_dim]
        return heads.transpose(1, 2)  # [B, H, S, head_dim]
        # done 7

    def merge_heads(self, x: Tensor) -> Tensor:
        batch, length = x.shape[0], x.shape[2]
        # TODO 8: the way back
        # calls: `x.transpose(1, 2)`, then `x.reshape([...])`
        # look: the two steps of split_heads, in the other order
        # formula: result[b, s, h * head_dim + k] = x[b, h, s, k]
        # thought: positions must stand in front of heads before two axes are made one
        rows = x.transpose(1, 2)  # [B, S, H, head_dim]
        return rows.reshape([batch, length, self.n_head * self.head_dim])  # [B, S, D]
        # done 8
