r"""Every token of the vocabulary gets a score as the next one.

A hidden vector at position s sums up the text so far. The head turns it into a score for every
token of the vocabulary as the next one. It does so by comparing: the score of a token is the
dot product of the hidden vector with the token's own row in the embedding table.

```
logits[b, s, v] = hidden[b, s] . wte[v],    as matrices: hidden wte^T
p(next = v) = softmax(logits[b, s])[v]
```

That entrance and exit share one table is called weight tying. It saves 38.6 of 163 million
parameters in GPT-2 small, and it makes sense: a token that means something when it is read
should mean the same when it is written. There is no bias.

By hand, for D = 2 and three tokens with the rows `[1, 0]`, `[0, 1]` and `[1, 1]`: hidden
`[1, 2]` has the logits `[1, 2, 3]`, and softmax makes probabilities `[0.09, 0.24, 0.67]` of
them. Adding 5 to all three would change nothing: logits mean something only by their
differences.

**Shapes.** int64 `[B, S]` in, `[B, S, V]` out: one prediction for each position, all in one
pass. For one text of 1024 tokens these are 51 million numbers, 206 MB in float32: when
generating, one takes the last position only.

**Traps in MAX.** A `Linear(D, V)` of its own is a second table, which no checkpoint has values
for. The table is `[V, D]`, so it must be transposed for `hidden @ ...`. The same weight used
for `gather` and for `@` is kept once in memory. If a model is moved with `.to(device)` while it
is built, MAX can make its parameters anew, and the head is tied no more.

## Afterwards

The model is whole: token ids in, logits out.
`python -m verify --candidate step_11.py:GPT2LMHeadModel` verifies all of it, every layer,
against PyTorch, and plants faults to show that it would have noticed them.

A head that is tied to a stale copy of the table is the quietest mistake here: it is right until
the weights change, by fine-tuning say. An untied head with random weights gives noise; one with
a transposed product does not run at all, unless V happens to equal D.
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
