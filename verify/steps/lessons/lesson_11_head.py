r"""Scores of every token of the vocabulary as the next one.

## Afterwards

The model is whole.
"""

from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config
from step_10 import GPT2Model


class GPT2LMHeadModel(Module):
    """Token ids to the scores of the next token: int64 [B, S] -> [B, S, V]."""

    def __init__(self, config: GPT2Config) -> None:
        # TODO 1: the stack of step 10
        # calls: `GPT2Model(config)`
        # look: the name under which a checkpoint has it: transformer
        # formula: the head has no weights of its own
        # thought: so this is all there is to make
        self.transformer = GPT2Model(config)
        # done 1

    def forward(self, input_ids: Tensor) -> Tensor:
        # TODO 2: a vector for each position
        # calls: a Module is called as a function
        # look: it takes token ids, and gives [B, S, D]
        # formula: hidden = transformer(ids)
        # thought: all positions at once: each will predict the token after it
        hidden = self.transformer(input_ids)  # [B, S, D]
        # done 2

        # TODO 3: compared with every token's own vector
        # calls: `@`; `.T` is the transpose; the table is `self.transformer.wte.weight`, [V, D]
        # look: which table has a row for each token
        # formula: logits[b, s, v] = hidden[b, s] . wte[v]
        # thought: a new Linear would be a second table, which the checkpoint does not have
        return hidden @ self.transformer.wte.weight.T  # [B, S, V]
        # done 3
