r"""Each position's features are brought to mean 0 and variance 1.

## Afterwards

Two in each block.
"""

from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor


class LayerNorm(Module):
    """Mean 0 and variance 1 for each position, then a learned scale and shift."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        self.eps = eps
        # TODO 1: what is learned: a scale and a shift for each feature
        # calls: `Tensor.ones([n])`, `Tensor.zeros([n])`: a Tensor that is an attribute of a Module
        #   is a parameter, which is loaded under the attribute's name: weight, bias
        # look: a norm that has just been made must leave a normalised vector as it is
        # formula: normalised * weight + bias
        # thought: which scale and which shift change nothing? One of each for every feature
        self.weight = Tensor.ones([dim])  # [D]
        self.bias = Tensor.zeros([dim])  # [D]
        # done 1

    def forward(self, x: Tensor) -> Tensor:
        # TODO 2: each position, less its mean
        # calls: `F.mean(x, axis=-1)` keeps the axis with size 1, so that the result broadcasts
        # look: over which axis a position's own features lie
        # formula: x - mean, the mean over the D features of one position
        # thought: rows and positions must not be mixed: each [b, s] has a mean of its own
        centred = x - F.mean(x, axis=-1)  # [B, S, D]
        # done 2

        # TODO 3: its variance
        # calls: `F.mean` again, over squares: `y * y`
        # look: which number the sum of squares is divided by
        # formula: var = sum((x - mean)^2) / D
        # thought: what is squared has mean 0 already; statistics books divide by D - 1, GPT-2 not
        variance = F.mean(centred * centred, axis=-1)  # [B, S, 1]
        # done 3

        # TODO 4: variance 1, then the learned scale and shift
        # calls: `F.rsqrt(y)` is 1 / sqrt(y)
        # look: where eps stands, and in which order scale and shift come
        # formula: (x - mean) / sqrt(var + eps) * weight + bias
        # thought: eps keeps a constant vector from a division by zero, so it is under the root
        return centred * F.rsqrt(variance + self.eps) * self.weight + self.bias  # [B, S, D]
        # done 4
