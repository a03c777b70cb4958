r"""Embeddings, all blocks in turn, and a last LayerNorm.

The model without its head: what each token is, plus where it stands, then block after block,
then a last norm.

```
x = wte[ids] + wpe[positions]
x = block_1(x); x = block_2(x); ...
hidden = ln_f(x)
```

Token and position are *added*, though they are quite different things. It works because D is
large: the two tables can use different directions of the same space, and attention and MLP read
whichever they need.

The last norm is there because this is a pre-norm model: each block normalised what it *read*,
and nothing normalised what the last block has *added*. The stream has grown from block to
block; `ln_f` brings it back to one size before the head compares it with token vectors.

By hand, for D = 2: a token's row `[0.5, 0.6]` and position 1's row `[0, 1]` give `[0.5, 1.6]`.
If block 1 adds `[1, 0]` and block 2 adds `[0, -2]`, the stream ends at `[1.5, -0.4]`. Its mean
is 0.55, its deviation 0.95, and so hidden is `[1, -1]`, while weight is 1 and bias 0.

**Shapes.** int64 `[B, S]` in, `[B, S, D]` out. `wpe` gives `[1, S, D]`, which broadcasts over
rows.

**Traps.** `[GPT2Block(config)] * n` is one block n times: all layers would share the first
one's weights. In `ModuleList([...])` each must be made anew; its parameters are then called
`h.0`, `h.1`, ... as in the checkpoint. A `for` loop in `forward` runs while MAX traces: the
graph has no loop, it has all blocks one after the other, which is why compiling a deeper model
makes a larger graph.

## Afterwards

All that GPT-2 knows is now in your module, and every layer of it has its place in a map.

Mistakes of stacking are mistakes of bookkeeping: a block that is left out, called twice or in
another order, layers that share weights, `ln_f` inside of the loop or forgotten. A trained
model is robust against a missing block: its text is often still English. Without `ln_f` the
logits have quite another size, and with them every probability, while the likeliest token is
often the same.
"""

from max.experimental.nn import Module, ModuleList
from max.experimental.tensor import Tensor
from step_01 import GPT2Config
from step_03 import LayerNorm
from step_05 import TokenEmbedding
from step_06 import PositionEmbedding
from step_09 import GPT2Block


class GPT2Model(Module):
    """Token ids to a vector for each position: int64 [B, S] -> [B, S, D]."""

    def __init__(self, config: GPT2Config) -> None:
        # TODO 1: the tables of tokens and of positions
        # calls: `TokenEmbedding(config)` of step 5, `PositionEmbedding(config)` of step 6
        # look: the names under which a checkpoint has them: wte, wpe
        # formula: wte[ids] + wpe[positions]
        # thought: both are made here and called below
        self.wte = TokenEmbedding(config)
        self.wpe = PositionEmbedding(config)
        # done 1

        # TODO 2: all blocks
        # calls: `ModuleList([...])` holds Modules in order; their weights are called h.0, h.1, ...
        # look: how many there are, and the name h of the checkpoint
        # formula: h = block_1, ..., block_n_layer
        # thought: each block has weights of its own, so each is made anew
        self.h = ModuleList([GPT2Block(config) for _ in range(config.n_layer)])
        # done 2

        # TODO 3: the last norm
        # calls: `LayerNorm(dim, eps=...)` of step 3
        # look: the name of the checkpoint: ln_f
        # formula: ln_f over n_embd features, with layer_norm_epsilon
        # thought: in a pre-norm model nothing has normalised what the last block added
        self.ln_f = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        # done 3

    def forward(self, input_ids: Tensor) -> Tensor:
        # TODO 4: what each token is, and where it stands
        # calls: `self.wte`, `self.wpe`, `+`: [1, S, D] broadcasts over rows
        # look: both take the token ids
        # formula: x = wte[ids] + wpe[positions]
        # thought: added, not put side by side: the model stays n_embd wide
        x = self.wte(input_ids) + self.wpe(input_ids)  # [B, S, D]
        # done 4

        # TODO 5: through all blocks
        # calls: a `for` over `self.h`; a Module is called as a function
        # look: what each block is given, and what becomes of its result
        # formula: x = block_n(... block_2(block_1(x)))
        # thought: the name x is bound again to each result; the block adds its own residual
        for block in self.h:
            x = block(x)  # [B, S, D]
        # done 5

        # TODO 6: the last norm
        # calls: `self.ln_f`
        # look: what has not been normalised yet
        # formula: ln_f(x)
        # thought: after all blocks, once; not inside the loop
        return self.ln_f(x)  # [B, S, D]
        # done 6
