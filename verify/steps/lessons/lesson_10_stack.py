r"""Embeddings, all blocks in turn, and a last norm.

## Afterwards

Token ids in, a vector for each position out.
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
        # calls: `ModuleList([...])`: blocks in a plain list would not be found as parts of this
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
