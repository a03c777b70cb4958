"""A GPT-2 whose second residual sum is a Mojo kernel that forgets its last elements.

The graph is right: what the operation means is registered, and says `x + y`. The kernel is not, so
that the compiled program is wrong and the mathematics is not: to the verification it looks like
MAX's own.
"""

from pathlib import Path

from max.driver import CPU
from max.experimental import functional as F
from max.experimental.tensor import Tensor
from max.graph import TensorType

from impl.config import GPT2Config
from impl.model import GPT2Block, GPT2LMHeadModel
from verify.graph.operations import custom

KERNELS = Path(__file__).parent / "kernels"


@custom("residual_add")
def residual_add(scope, x, y):
    return x + y


class KernelBlock(GPT2Block):
    """impl's block with its second sum in Mojo."""

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        kind = TensorType(x.dtype, x.shape, x.device)
        (total,) = F.custom(
            "residual_add", CPU(), [x, self.mlp(self.ln_2(x))], [kind], custom_extensions=KERNELS
        )
        return total


def model(config: GPT2Config) -> GPT2LMHeadModel:
    """impl's model with block 3 replaced."""
    faulty = GPT2LMHeadModel(config)
    faulty.transformer.h[3] = KernelBlock(config)
    return faulty
