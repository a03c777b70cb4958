r"""Each position alone: widen, bend, narrow.

## Afterwards

Two thirds of a block's parameters.
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
