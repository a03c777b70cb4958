r"""Attention mixes positions, the MLP works on each; both add to the stream.

A block is what the model is made of, twelve times in GPT-2 small. It has two parts, each with a
norm in front of it and a residual around it: attention, in which positions take from each
other, and the MLP, in which each position works on what it has.

```
x = x + attn(ln_1(x))
x = x + mlp(ln_2(x))
```

The order matters: the MLP reads what attention has just added. Some later models compute both
from the same x and add both at once (`x + attn(ln(x)) + mlp(ln(x))`, "parallel"), which is
faster and another function. The two norms have weights of their own.

By hand, with parts that one can follow: let x = 1 be a single number, let attention add 2, and
let the MLP add 10 times what it reads, with the norms left out. One after the other: 1 + 2 = 3,
then 3 + 30 = 33. In parallel it would be 1 + 2 + 10 = 13.

**Shapes.** `[B, S, D]` in and out, so that blocks can follow each other in any number.

**Names.** What a module is called as an attribute is part of its weights' names. A block of the
checkpoint has `ln_1.weight`, `attn.c_attn.weight`, `ln_2.bias`, `mlp.c_proj.bias` and so on:
with the same attributes, weights find their places by name. Other names are paired by shape and
by their order.

**A typical trap** is to take the default of `eps`, or to use one norm twice. The norms of a
block are not interchangeable, though they have the same shape: a block with the two exchanged
computes plausible numbers. In MAX, two attributes that hold the same module share its weights.

## Afterwards

From here on it is only stacking. Your block is made of your own LayerNorm, attention and MLP,
each of which has been checked alone; what is new here is how they are joined, and that is what
the check looked at: first each part on a known activation, then their sum.

A part that reads the wrong norm, or x from before attention, gives a model whose text looks
tired: right words, no thread. In the map that `python -m verify` prints such a mistake is one
row, in every block; a mistake of one layer alone, such as a weight that was loaded twice, is
one cell.
"""

from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config
from step_03 import LayerNorm
from step_04 import GPT2MLP
from step_07 import GPT2Attention


class GPT2Block(Module):
    """Attention and MLP, each with a norm in front of it: [B, S, D] -> [B, S, D]."""

    def __init__(self, config: GPT2Config) -> None:
        # TODO 1: attention, and the norm in front of it
        # calls: `LayerNorm(dim, eps=...)` of step 3, `GPT2Attention(config)` of step 7
        # look: the names under which a checkpoint has them: ln_1, attn
        # formula: attn(ln_1(x))
        # thought: eps is the configuration's, not the default
        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config)
        # done 1

        # TODO 2: the MLP, and the norm in front of it
        # calls: `LayerNorm(dim, eps=...)` of step 3, `GPT2MLP(config)` of step 4
        # look: the names under which a checkpoint has them: ln_2, mlp
        # formula: mlp(ln_2(x))
        # thought: it is a norm of its own: weights are not shared with the first
        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(config)
        # done 2

    def forward(self, x: Tensor) -> Tensor:
        # TODO 3: attention adds to the stream
        # calls: `self.attn`, `self.ln_1`: Modules are called as functions; `+`
        # look: the residual of step 8, with attention as the part
        # formula: x = x + attn(ln_1(x))
        # thought: attention reads the normalised copy, and adds to what is not normalised
        x = x + self.attn(self.ln_1(x))  # [B, S, D]
        # done 3

        # TODO 4: the MLP adds to it
        # calls: `self.mlp`, `self.ln_2`, `+`
        # look: the same form; which x does it read?
        # formula: x + mlp(ln_2(x))
        # thought: one after the other: the MLP sees what attention has added
        return x + self.mlp(self.ln_2(x))  # [B, S, D]
        # done 4
