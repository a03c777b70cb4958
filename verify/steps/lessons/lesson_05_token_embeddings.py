r"""A table with a vector for each token.

A model computes with vectors, a text consists of tokens, and a token's id is only a name: token
500 is not five times token 100. So each token has a vector of its own, a row of a table, which
training moves to where it is useful. Tokens that are used alike end up near each other.

```
result[b, s] = weight[ids[b, s]]
```

One can write the same as a product. Let a token be a row of V numbers that are 0, but for a 1
at its id. This row times the table is the table's row. Nobody computes it so: V is 50,257, and
all but one term of each sum would be 0. Looking the row up (`gather`) gives the same numbers
and costs no arithmetic.

By hand, for three tokens and D = 2:

```
weight = [[0.1, 0.2],      ids = [[2, 0]]      result = [[[0.5, 0.6],
          [0.3, 0.4],                                     [0.1, 0.2]]]
          [0.5, 0.6]]
```

**Shapes.** int64 `[B, S]` in, `[B, S, D]` out. The ids' own shape stays, and an axis is added
at the end. The table is `[V, D]`: 38.6 million parameters in GPT-2 small, nearly a third of the
model.

**Traps in MAX.** `F.gather(table, ids, axis=0)` takes rows; `axis=1` would take columns, and
fails only where an id is larger than D. MAX 26.7 reads ids from -V to -1 from the table's end
without a word, as Python does; other ids out of range raise an error when the graph runs.
`Tensor.zeros` is a placeholder here: its values are never computed, the checkpoint's take their
place.

## Afterwards

You have the entrance of the model. The same table will be its exit: in step 11 the head
compares each hidden vector with every row of it.

A mistake here is loud, since everything is built on it: a table that is transposed, columns in
place of rows, ids that are shifted by one give a text of nonsense. Quiet ones are those of
loading: a table of another checkpoint with as many rows gives fluent text in the wrong words.
And scaling the rows by sqrt(D), as the first transformer did, is right there and wrong in
GPT-2.
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
