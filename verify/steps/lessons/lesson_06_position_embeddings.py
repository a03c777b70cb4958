r"""A table with a vector for each position.

Attention treats its inputs as a set. Exchange two tokens, and it gives each of them the same
result as before, exchanged: "dog bites man" and "man bites dog" would be equal but for the
mask. So each token must carry with it where it stands. GPT-2 does that in the simplest way: a
second table, with a row for each position, and its row is added to the token's (step 10).

```
positions = 0, 1, ..., S - 1
result[0, s] = weight[s]
```

The first transformer had sines and cosines of many wavelengths in place of a table, which need
no training and have no end. Newer models turn queries and keys by an angle that grows with the
position (rotary embeddings). GPT-2's table is learned, and ends at `n_positions`: position 1024
has no row.

By hand, for D = 2, weight = `[[1, 0], [0, 1], [-1, 0]]` and the ids `[[7, 7]]`: the result is
`[[[1, 0], [0, 1]]]`. It is the same for every other two tokens, since it does not look at them.
The two equal tokens now differ by their positions, and attention can tell them apart.

**Shapes.** The token ids `[B, S]` come in for their length alone; `[1, S, D]` goes out and
broadcasts over rows.

**Traps in MAX.** S is a symbol while the graph is built, so `range(S)` of Python cannot work:
`F.arange` makes the positions when the graph runs. They must be int64, and on the device of the
ids. Counting from 1 shifts every row, and fails only where the context is full.

## Afterwards

The model now knows an order. In step 14 you will meet this again: with a cache the new tokens
are not the first ones, and their positions do not begin at 0.

Positions that are off by one are among the quietest mistakes there are: neighbouring rows of
the trained table resemble each other, so the text stays good, and perplexity rises a little.
Positions that are taken from the token ids give nonsense at once. Positions that begin anew
somewhere, after 16 tokens say, show only in longer texts.
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
