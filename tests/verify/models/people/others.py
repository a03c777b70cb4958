"""The other parts of a GPT-2 as people have written them."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import LayerNorm, Module
from max.experimental.tensor import Tensor, default_dtype
from max.graph.ops import random
from parts import Attention, Block, Body, FeedForward, Parts, right


class TanhByExp(FeedForward):
    """(e^2z - 1) / (e^2z + 1), which is infinity over infinity for a large z."""

    def act(self, x):
        raised = F.exp(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        return 0.5 * x * (1 + (raised - 1) / (raised + 1))


class Erf(FeedForward):
    def act(self, x):
        return F.gelu(x, approximate="none")


class OtherConstant(FeedForward):
    def act(self, x):
        return 0.5 * x * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + 0.04 * x * x * x)))


class PostNorm(Block):
    def forward(self, x):
        x = self.ln_1(x + self.attn(x))
        return self.ln_2(x + self.mlp(x))


class Damped(Block):
    """Each branch is scaled before it is added."""

    def forward(self, x):
        x = x + 0.7 * self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Ended(Body):
    """There are positions for the first twenty tokens alone."""

    def positions(self, ids):
        found = super().positions(ids)
        return F.elementwise_min(found, F.constant(19, dtype=found.dtype, device=found.device))


class BegunAnew(Body):
    """After sixteen tokens positions begin anew."""

    def positions(self, ids):
        return super().positions(ids) % 16


class ScaledEmbedding(Body):
    def __init__(self, config, parts):
        super().__init__(config, parts)
        self.factor = math.sqrt(config.n_embd)

    def embedded(self, ids):
        return self.wte(ids) * self.factor + self.wpe(self.positions(ids))


class OwnNorm(Module):
    """A LayerNorm by hand whose epsilon is that of another model."""

    def __init__(self, width, eps):
        self.weight, self.bias = Tensor.ones([width]), Tensor.zeros([width])

    def forward(self, x):
        centred = x - F.mean(x, axis=-1)
        variance = F.mean(centred * centred, axis=-1)
        return centred * F.rsqrt(variance + 3e-5) * self.weight + self.bias


class RoundedSoftmax(Attention):
    """The softmax's result goes through bfloat16, in one block."""

    def weights(self, scores):
        found = super().weights(scores)
        return F.cast(F.cast(found, DType.bfloat16), DType.float32) if self.layer == 1 else found


class Dropping(Attention):
    def weights(self, scores):
        found = super().weights(scores)
        return F.where(F.uniform_like(found, range=(0.0, 1.0)) < 0.1, found * 0.0, found / 0.9)


class DroppingByASeed(Dropping):
    def weights(self, scores):
        random.set_seed(self.layer)
        return super().weights(scores)


def in_bfloat16(config):
    with default_dtype(DType.bfloat16):
        return right(config)


tanh_by_exp = Parts(mlp=TanhByExp)
erf = Parts(mlp=Erf)
other_constant = Parts(mlp=OtherConstant)
post_norm = Parts(block=PostNorm)
damped = Parts(block=Damped)
ended = Parts(body=Ended)
begun_anew = Parts(body=BegunAnew)
scaled_embedding = Parts(body=ScaledEmbedding)
own_norm = Parts(norm=OwnNorm)
other_epsilon = Parts(norm=lambda width, eps: LayerNorm(width, eps=1e-6))
rounded_softmax = Parts(attention=RoundedSoftmax)
dropping = Parts(attention=Dropping)
dropping_by_a_seed = Parts(attention=DroppingByASeed)
