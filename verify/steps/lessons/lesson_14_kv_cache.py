r"""What a token has computed once is not computed again.

Step 12 computes everything anew for each token. But look at what attention needs of a token
that has been read: its key and its value, in each block. Neither changes when a token is
appended, since no position sees a later one: the causal mask, which made training possible,
makes this possible too. So keep them, and let only the *new* tokens go through the model.

```
q, k, v = c_attn(x of the new tokens)
keys = [cached keys, k],   values = [cached values, v]
attention = softmax(q keys^T / sqrt(head_dim) + mask) values
```

Everything else, norms, MLP and residuals, works on each position alone and does not notice. A
query is never needed twice, so queries are not kept.

**Two things change.** With P tokens cached, new token i stands at position P + i, not i. And it
may look at keys 0 to P + i: the mask is no longer a square, but the last S rows of that for P +
S tokens. By hand, for P = 2 and S = 2:

```
   0  0  0  -inf        the first new token sees both cached ones and itself
   0  0  0     0        the second sees all
```

**Shapes.** keys and values `[L, B, H, P, head_dim]`, for all L blocks, in and, longer by S,
out; logits `[B, S, V]`. With P = 0 it is the model of step 11: one graph serves the prompt and
each token after it.

**What it costs and saves.** A token of GPT-2 small keeps 2 x 12 x 768 numbers, 74 kB in
float32, and 1024 of them 75 MB for each row of a batch. In return a new token costs one
position instead of all.

**Traps in MAX.** P is a symbol, so `F.arange(past, past + length)` needs `out_dim` to know how
long it is. Appending with `F.concat` copies the whole cache at each step: simple, right, and
slow for long texts, where engines write into a buffer in place. A mask made by comparing
positions can be dropped by MAX 26.7 (step 2); rows of `causal_mask` are safe.

## Afterwards

Prompt at once, then token by token, equals the whole: that equation is all a cache has to
fulfil, and it is how engines are verified here (`impl/engine.py`), in parts and in uneven
batches.

Cache mistakes begin with the second token. Positions that start again at 0 leave the first
answer right, and then the text forgets its grammar. A mask of the wrong length shows only when
several tokens come at once: in the next prompt of a chat. Block 1's queries over block 0's keys
give fluent nonsense. Keys that are overwritten look fine until the context is full. With short
prompts and one token a step, none of the last three is seen; here all of them are.
"""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.tensor import Tensor
from step_01 import GPT2Config
from step_02 import causal_mask
from step_07 import GPT2Attention
from step_11 import GPT2LMHeadModel


class CachedGPT2(GPT2LMHeadModel):
    """Logits of new tokens, after P others whose keys and values are given.

    input_ids: int64 [B, S]; keys, values: [L, B, H, P, head_dim], of all L blocks.
    Returns logits [B, S, V], and keys and values [L, B, H, P + S, head_dim].
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)  # the same parts, under the same names

    def forward(
        self, input_ids: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        past, length = keys.shape[3], input_ids.shape[1]  # P, S
        gpt2 = self.transformer
        # TODO 1: what each new token is, and where it stands
        # calls: `F.arange(start, stop, out_dim=length, dtype=..., device=...)`, as in step 6, where
        #   `out_dim` says how many there are, since start is a symbol; `gpt2.wte(input_ids)`;
        #   `F.gather(gpt2.wpe.weight, positions, axis=0)`, not `gpt2.wpe`, which counts from 0
        # look: how many tokens stand before the first new one
        # formula: x[b, s] = wte[ids[b, s]] + wpe[P + s]
        # thought: for the model nothing has changed: a token's position is that in the whole text
        positions = F.arange(
            past, past + length, out_dim=length, dtype=DType.int64, device=input_ids.device
        )  # [S]
        x = gpt2.wte(input_ids) + F.gather(gpt2.wpe.weight, positions, axis=0)  # [B, S, D]
        # done 1

        # TODO 2: what each new token may look at
        # calls: `causal_mask(n, dtype, device)` of step 2 for all P + S tokens, and
        #   `F.gather(x, numbers, axis=0)`, which takes the rows of these numbers
        # look: the mask of the whole text has a row for each token; which rows are the new ones'?
        # formula: mask[i, k] = 0 where k <= P + i, else -inf
        # thought: a row's number is its token's position; all P + S keys stay, as columns
        whole = causal_mask(past + length, x.dtype, x.device)  # [P + S, P + S]
        mask = F.gather(whole, positions, axis=0)  # [S, P + S]
        # done 2

        kept_keys, kept_values = [], []
        for layer, block in enumerate(gpt2.h):
            # TODO 3: attention over this block's own cache; then the rest of the block
            # calls: `attend(attention, x, keys, values, mask)` below; `keys[layer]` is one block's;
            #   `block.ln_1`, `block.attn`, `block.ln_2`, `block.mlp`
            # look: the two residuals of step 9; only the call of attention has changed
            # formula: x = x + attn(ln_1(x)); x = x + mlp(ln_2(x))
            # thought: each block has keys of its own; attention reads the normalised stream
            mixed, new_keys, new_values = attend(
                block.attn, block.ln_1(x), keys[layer], values[layer], mask
            )
            x = x + mixed  # [B, S, D]
            x = x + block.mlp(block.ln_2(x))  # [B, S, D]
            # done 3
            kept_keys.append(new_keys)
            kept_values.append(new_values)

        # TODO 4: the scores of the new tokens
        # calls: `gpt2.ln_f`, `@`, `gpt2.wte.weight.T`, as in steps 10 and 11
        # look: what comes after the last block
        # formula: ln_f(x) wte^T
        # thought: only the new tokens have been through the blocks, so there are S rows, not P + S
        logits = gpt2.ln_f(x) @ gpt2.wte.weight.T  # [B, S, V]
        # done 4
        return logits, F.stack(kept_keys), F.stack(kept_values)


def attend(
    attention: GPT2Attention, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention of step 7 for new tokens x [B, S, D], over P cached ones and themselves.

    keys, values: [B, H, P, head_dim]; mask: [S, P + S]. Returns [B, S, D], and the longer two.
    """
    # TODO 5: queries, keys and values of the new tokens
    # calls: as in step 7: `attention.c_attn`, `F.chunk`, `attention.split_heads`
    # look: whose queries are needed, and whose keys are not there yet
    # formula: q, k, v = c_attn(x)
    # thought: this is all that is computed anew; a cached token needs no query any more
    query, key, value = F.chunk(attention.c_attn(x), 3, axis=-1)  # 3 x [B, S, D]
    query, key, value = map(attention.split_heads, (query, key, value))  # 3 x [B, H, S, head_dim]
    # done 5

    # TODO 6: the new keys and values, put after the cached ones
    # calls: `F.concat([a, b], axis=...)` makes a new tensor of two
    # look: along which axis of [B, H, P, head_dim] tokens are counted
    # formula: keys = [keys, key]; values = [values, value]
    # thought: in the order of the text, as the mask has it; keys to keys, values to values
    keys = F.concat([keys, key], axis=2)  # [B, H, P + S, head_dim]
    values = F.concat([values, value], axis=2)  # [B, H, P + S, head_dim]
    # done 6

    # TODO 7: attention of the new queries over all keys
    # calls: as in step 7: `@`, `.transpose(-2, -1)`, `F.softmax`, `attention.merge_heads`,
    #   `attention.c_proj`
    # look: step 7, line by line; which of its lines sees another length now?
    # formula: c_proj(softmax(q keys^T / sqrt(head_dim) + mask) values)
    # thought: S queries over P + S keys: scores are not a square any more, and that is all
    scores = query @ keys.transpose(-2, -1) / math.sqrt(attention.head_dim)  # [B, H, S, P + S]
    mixed = F.softmax(scores + mask, axis=-1) @ values  # [B, H, S, head_dim]
    return attention.c_proj(attention.merge_heads(mixed)), keys, values
    # done 7
