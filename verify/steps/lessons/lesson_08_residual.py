r"""A part reads a normalised copy of the stream, and adds to the stream itself.

## Afterwards

The stream is never replaced.
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
