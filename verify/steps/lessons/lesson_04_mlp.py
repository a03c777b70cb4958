r"""Each position alone: widen, bend, narrow.

Attention moves information between positions. What is then *done* with it happens in the MLP,
for each position alone and with the same weights for all. Two thirds of a block's parameters
lie here: 8 D^2 of 12 D^2. A common reading is that a row of the first layer looks for a
pattern, and the matching column of the second says what to add to the stream where the pattern
is found.

```
mlp(x) = c_proj(gelu(c_fc(x)))
gelu(x) = 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
```

Without something that bends in the middle, two linear layers would be one:
`W2 (W1 x) = (W2 W1) x`. ReLU bends at 0 with a corner; GELU does it smoothly, and lets a little
of small negative numbers through. The exact GELU is `x Phi(x)`, x times the probability that a
standard normal number is less than x. GPT-2 was trained with the approximation by tanh, which
its configuration calls "gelu_new".

By hand: at x = 1, `1 + 0.044715 = 1.044715`, times sqrt(2 / pi) = 0.797885 is 0.833562, whose
tanh is 0.682384; so gelu(1) = 0.5 x 1.682384 = 0.841192. The exact one is 0.841345. The largest
difference anywhere is 5e-4.

**Shapes.** `[B, S, D] -> [B, S, 4D] -> [B, S, D]`. MAX's `Linear` holds its weight as
`[out, in]`. Hugging Face's GPT-2 holds it the other way round (`Conv1D`), and it is turned
once, when it is loaded: a model need not know.

**A typical trap in MAX.** `F.gelu(x)` without a second argument is the exact form. Five
ten-thousandths at each of 4D features, in each block: the text that comes out looks right.

## Afterwards

You have the part that does two thirds of a block's arithmetic: 16 D^2 operations for each
token.

The wrong GELU is the best example of what this project is for. Generated text is fluent, the
first choices are mostly equal, cosine similarity is above 0.99. Fed alone with PyTorch's
activations, the error of `mlp.act` in float64 is more than a billion times what rounding
explains. An activation after the second layer, a missing bias or a width of 3 D would show at
once.
"""

from max.experimental import functional as F
from max.experimental.nn import Linear, Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config


class GPT2MLP(Module):
    """Two linear layers with GELU between them, for each position alone."""

    def __init__(self, config: GPT2Config) -> None:
        # TODO 1: a layer that widens and one that narrows
        # calls: `Linear(n_in, n_out)` computes x W^T + b, and holds weight [n_out, n_in] and bias
        # look: how wide the middle of a GPT-2's MLP is
        # formula: c_fc: D -> 4D; c_proj: 4D -> D
        # thought: what comes out is added to what went in, so both ends are equally wide
        self.c_fc = Linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = Linear(4 * config.n_embd, config.n_embd)
        # done 1

    def forward(self, x: Tensor) -> Tensor:
        # TODO 2: widen
        # calls: a Module is called as a function: `self.name(x)`
        # look: which of the two layers takes D features
        # formula: x W_fc^T + b_fc
        # thought: the layer knows its weights; only its input is to be given
        wide = self.c_fc(x)  # [B, S, 4D]
        # done 2

        # TODO 3: bend
        # calls: `F.gelu(x, approximate=...)`: "none", "tanh" or "quick"; without it, "none"
        # look: config.json of GPT-2 calls its activation "gelu_new"
        # formula: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
        # thought: GELU has an exact form by erf and an approximation; which one is the formula?
        bent = F.gelu(wide, approximate="tanh")  # [B, S, 4D]
        # done 3

        # TODO 4: narrow
        # calls: a Module is called as a function
        # look: which layer is left
        # formula: c_proj(gelu(c_fc(x)))
        # thought: nothing follows it: no activation, and the residual is added outside (step 8)
        return self.c_proj(bent)  # [B, S, D]
        # done 4
