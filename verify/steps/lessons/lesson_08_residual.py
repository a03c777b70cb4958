r"""A part reads a normalised copy of the stream, and adds to the stream itself.

A deep model in which each layer replaces its input is hard to train: the gradient of the first
layer is a product of all that follow, and vanishes or grows with their number. A residual
connection adds instead:

```
x + sublayer(layer_norm(x))
```

Its derivative is 1 plus that of the part. However small the parts' derivatives are, the 1
carries the gradient from the loss to the first layer. When the model runs it means the same: x
is a stream that goes through from the embeddings to the head, and each part reads from it and
adds to it. Nothing is overwritten.

The part reads a *normalised copy*. The stream itself grows from block to block, and LayerNorm
gives each part its input in the same size. GPT-2 normalises before a part ("pre-norm"); the
transformer of 2017 did it after the addition, `layer_norm(x + sublayer(x))`, so that the stream
itself was normalised each time. Both train; their weights cannot be exchanged.

By hand: x = `[1, 2, 3, 6]` has the normalised copy `[-1.069, -0.535, 0, 1.604]` (step 3). A
part that doubles its input gives `[-2.138, -1.069, 0, 3.207]`, and the stream goes on as
`[-1.138, 0.931, 3, 9.207]`. A part that gives 0 leaves `[1, 2, 3, 6]` exactly.

**Shapes.** `[B, S, D]` in and out: a part must return what it was given in shape.

**A typical trap** is a name that is used twice: after `x = self.layer_norm(x)` the stream is
gone, and `x + self.sublayer(x)` adds to the copy. In MAX a module that is kept as an attribute
is a part, with its parameters; `sublayer` may be any of them, attention as well as MLP.

## Afterwards

You have the pattern by which every part of the model is joined to the rest, 2 n_layer times.

A residual from the normalised copy changes the size of the stream in every block: the model's
text falls apart, though each part alone is right. A residual that is missing throws away all
that earlier parts have added, and no shape gives it away: only a comparison at the block's own
result does.
"""

from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from step_01 import GPT2Config
from step_03 import LayerNorm


class Residual(Module):
    """A part with a norm in front of it, added to the stream: [B, S, D] -> [B, S, D]."""

    def __init__(self, config: GPT2Config, sublayer: Module) -> None:
        # TODO 1: a norm, and the part that reads what it gives
        # calls: `LayerNorm(dim, eps=...)` of step 3; a Module that is an attribute is found as a
        #   part of this one, with its parameters
        # look: both numbers of the norm are in the configuration
        # formula: layer_norm over n_embd features, with layer_norm_epsilon
        # thought: the part is made already: it only has to be kept
        self.layer_norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.sublayer = sublayer
        # done 1

    def forward(self, x: Tensor) -> Tensor:
        # TODO 2: what the part makes of the normalised stream
        # calls: Modules are called as functions, one on the other's result
        # look: who reads the normalised copy
        # formula: sublayer(layer_norm(x))
        # thought: GPT-2 normalises in front of a part ("pre-norm"), the first transformer after it
        update = self.sublayer(self.layer_norm(x))  # [B, S, D]
        # done 2

        # TODO 3: added to the stream
        # calls: `+`: both have the shape [B, S, D]
        # look: what it is added to: x as it came, or the normalised copy?
        # formula: x + sublayer(layer_norm(x))
        # thought: if every part added 0, the stream would have to arrive at the end unchanged
        return x + update  # [B, S, D]
        # done 3
