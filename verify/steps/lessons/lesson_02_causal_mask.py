r"""A token may look at itself and at what came before, never ahead.

A language model predicts the next token at every position at once. That is only an exercise
worth doing if position 3 cannot read position 4, where the answer stands. In a text that is
generated the later tokens do not exist yet, so a model that had relied on them could not write
either.

Attention gives each query a score for each key, and softmax makes weights of a row of scores.
To hide a key, its weight must become exactly 0, and the other weights must still add up to 1.
So the score is changed *before* softmax: something is added to it that no score can outweigh.

```
mask[q, k] = 0      where k <= q
             -inf   where k >  q          since exp(-inf) = 0
```

By hand, for three tokens (rows are queries, columns are keys):

```
   0  -inf  -inf        the first sees itself alone
   0     0  -inf        the second sees two
   0     0     0        the last one sees all
```

Let the second query have the scores `[2, 1, 5]`. Without a mask its weights are
`[0.05, 0.02, 0.94]`: nearly all attention goes to the future. With it they are
`[0.73, 0.27, 0]`.

**Shapes.** `[S, S]`, where S is a symbol: one compiled graph serves every length, so the mask
is made inside of the graph and not from a number in Python. It broadcasts over batch and heads.

**A typical trap in MAX.** In NumPy one would compare positions: `where(k > q, -inf, 0)`. MAX
26.7 fuses scores, mask and softmax into one kernel, and can drop a mask that is made like this
without a word: the graph is right, what is compiled is not. `band_part` stays visible to the
compiler. A second trap is a large number in place of -inf: -1e4 is outweighed where scores are
large.

## Afterwards

The mask is the only thing in the whole model that knows a direction of time. You have made it
so that the compiler keeps it, for every length.

A mistake here is hard to see in a text, since later tokens are missing while one generates. It
shows in numbers: a mask that is missing or off by one gives a perplexity that is too good to be
true, and logits at early positions that change when a later token does. A mask that is turned
around hides the past, and its first row is still plausible. A token that cannot see itself has
a first row of -inf alone, which softmax turns into NaN.
"""

import math

from max.driver import Device
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.tensor import Tensor
from max.graph import Dim


def causal_mask(length: Dim, dtype: DType, device: Device) -> Tensor:
    """What is added to the scores: [S, S], rows are queries, columns are keys."""
    # TODO 1: a square that hides everything
    # calls: `F.constant(value, dtype=..., device=...)` makes one number; `F.broadcast_to(x, shape)`
    #   repeats it, also to a length that is known only when the graph runs
    # look: what a score must become so that softmax gives exactly 0 for it
    # formula: exp(score + m) = 0 for every score; rows are queries, columns are keys
    # thought: a large negative number can be outweighed by a large score; one number cannot
    hidden = F.broadcast_to(  # [S, S]
        F.constant(-math.inf, dtype=dtype, device=device), [length, length]
    )
    # done 1

    # TODO 2: keep it where the key lies ahead of the query, and make the rest 0
    # calls: `F.band_part(x, num_lower=..., num_upper=..., exclude=...)` keeps a band along the
    #   diagonal, or with `exclude=True` all but the band; None takes all diagonals of that side
    # look: write down by hand which of 3 keys each of 3 queries may see
    # formula: m[q, k] = 0 where k <= q, else -inf
    # thought: what may be seen is a band: all diagonals below, and none above
    return F.band_part(hidden, num_lower=None, num_upper=0, exclude=True)  # [S, S]
    # done 2
