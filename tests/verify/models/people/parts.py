"""A GPT-2 of small parts, each of which a candidate beside it replaces by what somebody wrote."""

import math
from dataclasses import dataclass
from typing import Any

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module, ModuleList
from max.experimental.tensor import Tensor


def fill(like, value, *sizes):
    """One number everywhere, in the dtype and on the device of another tensor."""
    number = F.constant(value, dtype=like.dtype, device=like.device)
    return F.broadcast_to(number, list(sizes))


class Attention(Module):
    def __init__(self, config, layer):
        width = config.n_embd
        self.n_head, self.layer = config.n_head, layer
        self.c_attn = Linear(width, 3 * width)
        self.c_proj = Linear(width, width)

    def projected(self, x):
        return F.chunk(self.c_attn(x), 3, axis=-1)

    def split(self, x):
        batch, length, width = x.shape
        return x.reshape([batch, length, self.n_head, int(width) // self.n_head]).transpose(1, 2)

    def merge(self, x):
        batch, _, length, size = x.shape
        return x.transpose(1, 2).reshape([batch, length, self.n_head * int(size)])

    def scale(self, size):
        return 1 / math.sqrt(size)

    def mask(self, scores):
        length = scores.shape[-1]
        ahead = fill(scores, -math.inf, length, length)
        return F.band_part(ahead, num_lower=None, num_upper=0, exclude=True)

    def weights(self, scores):
        return F.softmax(scores + self.mask(scores))

    def forward(self, x):
        q, k, v = (self.split(part) for part in self.projected(x))
        scores = (q @ k.transpose(-2, -1)) * self.scale(int(q.shape[-1]))
        return self.c_proj(self.merge(self.weights(scores) @ v))


class FeedForward(Module):
    def __init__(self, config):
        inner = config.inner_dim
        self.c_fc = Linear(config.n_embd, inner)
        self.c_proj = Linear(inner, config.n_embd)

    def act(self, x):
        return F.gelu(x, approximate="tanh")

    def forward(self, x):
        return self.c_proj(self.act(self.c_fc(x)))


class Block(Module):
    def __init__(self, config, layer, parts):
        norm = lambda: parts.norm(config.n_embd, eps=config.layer_norm_epsilon)  # noqa: E731
        self.ln_1, self.ln_2 = norm(), norm()
        self.attn = parts.attention(config, layer)
        self.mlp = parts.mlp(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Body(Module):
    def __init__(self, config, parts):
        self.wte = Embedding(config.vocab_size, dim=config.n_embd)
        self.wpe = Embedding(config.n_positions, dim=config.n_embd)
        self.h = ModuleList(parts.block(config, i, parts) for i in range(config.n_layer))
        self.ln_f = parts.norm(config.n_embd, eps=config.layer_norm_epsilon)

    def positions(self, ids):
        return F.arange(0, ids.shape[-1], dtype=DType.int64, device=ids.device)

    def embedded(self, ids):
        return self.wte(ids) + self.wpe(self.positions(ids))

    def forward(self, ids):
        x = self.embedded(ids)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class Whole(Module[[Tensor], Tensor]):
    def __init__(self, config, parts):
        self.transformer = parts.body(config, parts)

    def forward(self, ids):
        return self.transformer(ids) @ self.transformer.wte.weight.T


@dataclass(frozen=True)
class Parts:
    """The classes that a model is made of."""

    attention: Any = Attention
    mlp: Any = FeedForward
    block: Any = Block
    body: Any = Body
    norm: Any = LayerNorm

    def __call__(self, config):
        return Whole(config, self)


right = Parts()
