r"""Attention mixes positions, the MLP works on each; both add to the stream.

## Afterwards

The model is this, twelve times.
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
