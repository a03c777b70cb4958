r"""Each position's features are brought to mean 0 and variance 1.

Every block adds something to the stream of features that runs through the model. After twelve
blocks these numbers would have very different sizes, from token to token and from layer to
layer, and a layer that is trained on small inputs does badly on large ones. LayerNorm brings
each position's D features to mean 0 and variance 1 before a part reads them. A learned scale
and shift for each feature then give back what the part needs.

```
y = (x - mean) / sqrt(var + eps) * weight + bias
mean = sum(x) / D,    var = sum((x - mean)^2) / D
```

Mean and variance are those of *one position*: nothing is shared between tokens or between rows
of a batch, so a text's result does not depend on what else is in the batch.

By hand, for D = 4 and x = `[1, 2, 3, 6]`: the mean is 3, x - mean is `[-2, -1, 0, 3]`, the
variance (4 + 1 + 0 + 9) / 4 = 3.5, its root 1.871, and so y = `[-1.069, -0.535, 0, 1.604]`
while weight is 1 and bias 0. Its mean is 0, and the mean of its squares is 1.

**Shapes.** `[B, S, D]` in and out; mean and variance are `[B, S, 1]` and broadcast. weight and
bias are `[D]`.

**Typical traps.** Statistics books, and `std` of many libraries, divide by D - 1. For D = 4
that makes 13% of difference, for D = 768 only 0.07%: no text shows it, the check does. eps
belongs under the root, beside the variance. And the order counts: scale first, then shift. In
MAX `F.mean(x, axis=-1)` keeps the axis with size 1, where NumPy drops it, so no `keepdims` is
needed. MAX has a `LayerNorm` in `max.experimental.nn`, one fused kernel; yours is the same
function, in the open.

## Afterwards

You have written one of the two places in which GPT-2 is not linear in its features (the other
is GELU; softmax is not linear either, in the scores). There are 2 n_layer + 1 of these norms.

Mistakes in it travel far, since everything after it reads what it gives. Another eps moves
results only where a position's variance is small: in GPT-2 small that is in early layers.
Statistics over the whole batch, or over positions, let tokens see each other: a text's logits
then change with its neighbours in the batch, and the future leaks into the past. Weight and
bias that are exchanged give numbers of the right size and no meaning.
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
