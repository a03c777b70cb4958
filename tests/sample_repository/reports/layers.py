"""One block."""

import math

from max.experimental import functional as F
from max.experimental.nn import LayerNorm, Linear, Module


def heads(x, count):
    return x.reshape([x.shape[0], x.shape[1], count, -1]).transpose(1, 2)


def causal(scores):
    length = scores.shape[-1]
    fill = F.constant(-math.inf, dtype=scores.dtype, device=scores.device)
    blocked = F.broadcast_to(fill, [length, length])
    return scores + F.band_part(blocked, num_lower=None, num_upper=0, exclude=True)


class Attention(Module):
    def __init__(self, config):
        self.heads = config.n_head
        self.qkv = Linear(config.n_embd, 3 * config.n_embd)
        self.out = Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        q, k, v = (heads(part, self.heads) for part in F.chunk(self.qkv(x), 3, axis=-1))
        scores = causal(q @ k.transpose(-2, -1) / math.sqrt(int(q.shape[-1])))
        mixed = (F.softmax(scores) @ v).transpose(1, 2)
        return self.out(mixed.reshape([mixed.shape[0], mixed.shape[1], -1]))


class Activation(Module):
    def forward(self, x):
        return F.gelu(x, approximate="tanh")


class Layer(Module):
    def __init__(self, config):
        self.norm1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attention = Attention(config)
        self.norm2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.up = Linear(config.n_embd, 4 * config.n_embd)
        self.activation = Activation()
        self.down = Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(self.activation(self.up(self.norm2(x))))
