r"""A table with a row for each position.

## Afterwards

The context ends where the table ends.
"""

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config


class PositionEmbedding(Module):
    """A vector for each position: int64 token ids [B, S] -> [1, S, D]."""

    def __init__(self, config: GPT2Config) -> None:
        # TODO 1: a table with a row for each position
        # calls: `Tensor.zeros([rows, columns])`, as in step 5
        # look: how many positions the configuration allows
        # formula: one row of n_embd numbers for each of n_positions positions
        # thought: it is added to the token's vector, so it is as wide
        self.weight = Tensor.zeros([config.n_positions, config.n_embd])  # [n_positions, D]
        # done 1

    def forward(self, input_ids: Tensor) -> Tensor:
        length = input_ids.shape[-1]  # S, also where it is known only when the graph runs
        # TODO 2: the numbers 0, 1, ..., S - 1
        # calls: `F.arange(start, stop, dtype=DType.int64, device=input_ids.device)`: the device has
        #   to be that of the ids
        # look: where counting begins, and whether stop itself is counted
        # formula: positions = 0, 1, ..., S - 1
        # thought: what the tokens are does not matter here, only how many of them there are
        positions = F.arange(0, length, dtype=DType.int64, device=input_ids.device)  # [S]
        # done 2

        # TODO 3: their rows, for all rows of the batch
        # calls: `F.gather(table, ids, axis=0)`; `x.unsqueeze(0)` puts an axis of size 1 in front
        # look: the shape that is asked for begins with 1
        # formula: result[0, s] = weight[s]
        # thought: every row of the batch has the same positions, so one copy broadcasts to all
        return F.gather(self.weight, positions.unsqueeze(0), axis=0)  # [1, S, D]
        # done 3
