r"""A table with a row for each token.

## Afterwards

The head reads the same table.
"""

from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config


class TokenEmbedding(Module):
    """A vector for each token: int64 [B, S] -> [B, S, D]."""

    def __init__(self, config: GPT2Config) -> None:
        # TODO 1: a table with a row for each token
        # calls: `Tensor.zeros([rows, columns])`: its values come from the checkpoint; it is a
        #   parameter because it is an attribute
        # look: how many tokens there are, and how wide the model is
        # formula: one row of n_embd numbers for each of vocab_size tokens
        # thought: a token id is the number of a row, so rows come first
        self.weight = Tensor.zeros([config.vocab_size, config.n_embd])  # [V, D]
        # done 1

    def forward(self, input_ids: Tensor) -> Tensor:
        # TODO 2: the row of each token id
        # calls: `F.gather(table, ids, axis=...)` takes slices of a table, one for each id
        # look: along which axis of the table tokens are counted
        # formula: result[b, s] = weight[ids[b, s]]
        # thought: the ids' own shape [B, S] stays, and a row's D numbers are put at its end
        return F.gather(self.weight, input_ids, axis=0)  # [B, S, D]
        # done 2
