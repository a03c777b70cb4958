"""A GPT-2 with one fault: block 3 computes GELU by erf in place of its tanh form."""

from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor

from impl.config import GPT2Config
from impl.model import GPT2LMHeadModel


class ErfActivation(Module[[Tensor], Tensor]):
    """0.5 x (1 + erf(x / sqrt(2)))."""

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate="none")


def model(config: GPT2Config) -> GPT2LMHeadModel:
    """impl's model with the activation of block 3 replaced."""
    faulty = GPT2LMHeadModel(config)
    faulty.transformer.h[3].mlp.act = ErfActivation()
    return faulty
