"""Everything in `Sequential`, with residual connections as modules around it."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module, Sequential


class Embeddings(Module):
    def __init__(self, config):
        self.tok = Embedding(config.vocab_size, dim=config.n_embd)
        self.pos = Embedding(config.n_positions, dim=config.n_embd)

    def forward(self, ids):
        index = F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device)
        return self.tok(ids) + self.pos(index.unsqueeze(0))


class Residual(Module):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Attention(Module):
    def __init__(self, config):
        self.n_head = config.n_head
        self.qkv = Linear(config.n_embd, 3 * config.n_embd)
        self.proj = Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        batch, length, width = x.shape
        shape = [batch, length, self.n_head, int(width) // self.n_head]
        q, k, v = (t.reshape(shape).transpose(1, 2) for t in F.chunk(self.qkv(x), 3, axis=-1))
        q = q * (int(width) // self.n_head) ** -0.5
        fill = F.constant(-math.inf, dtype=x.dtype, device=x.device)
        ahead = F.broadcast_to(fill, [length, length])
        mask = F.band_part(ahead, num_lower=None, num_upper=0, exclude=True)
        mixed = F.softmax(q @ k.transpose(-2, -1) + mask) @ v
        return self.proj(mixed.transpose(1, 2).reshape([batch, length, width]))


class Gelu(Module):
    def forward(self, x):
        return F.gelu(x, approximate="tanh")


def block(config):
    width, eps = config.n_embd, config.layer_norm_epsilon
    mlp = Sequential(Linear(width, 4 * width), Gelu(), Linear(4 * width, width))
    return Sequential(
        Residual(Sequential(LayerNorm(width, eps=eps), Attention(config))),
        Residual(Sequential(LayerNorm(width, eps=eps), mlp)),
    )


class Head(Module):
    def __init__(self, embedding):
        self.embedding = embedding

    def forward(self, x):
        return x @ self.embedding.weight.T


def gpt(config):
    first = Embeddings(config)
    last = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
    blocks = [block(config) for _ in range(config.n_layer)]
    return Sequential(first, *blocks, last, Head(first.tok))
