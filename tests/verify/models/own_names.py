"""A GPT-2 with names of its own: fused projection, tied head inside `forward`, GELU inline."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module, ModuleList


def causal(scores):
    """Scores of keys that lie ahead become -inf."""
    length = scores.shape[-1]
    fill = F.constant(-math.inf, dtype=scores.dtype, device=scores.device)
    blocked = F.broadcast_to(fill, [length, length])
    return scores + F.band_part(blocked, num_lower=None, num_upper=0, exclude=True)


def heads(x, count):
    """[B, S, D] -> [B, H, S, K]."""
    return x.reshape([x.shape[0], x.shape[1], count, -1]).transpose(1, 2)


def attend(q, k, v, count):
    """Causal attention by head, merged again to [B, S, D]."""
    q, k, v = (heads(x, count) for x in (q, k, v))
    scores = causal(q @ k.transpose(-2, -1) / math.sqrt(int(q.shape[-1])))
    mixed = (F.softmax(scores) @ v).transpose(1, 2)
    return mixed.reshape([mixed.shape[0], mixed.shape[1], -1])


class SelfAttention(Module):
    def __init__(self, config):
        self.heads = config.n_head
        self.qkv = Linear(config.n_embd, 3 * config.n_embd)
        self.out = Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        return self.out(attend(*F.chunk(self.qkv(x), 3, axis=-1), self.heads))


class FeedForward(Module):
    def __init__(self, config):
        self.up = Linear(config.n_embd, 4 * config.n_embd)
        self.down = Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Layer(Module):
    def __init__(self, config):
        self.norm1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.self_attention = SelfAttention(config)
        self.norm2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.feed_forward = FeedForward(config)

    def forward(self, x):
        x = x + self.self_attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class MyGPT(Module):
    def __init__(self, config):
        self.token_embedding = Embedding(config.vocab_size, dim=config.n_embd)
        self.position_embedding = Embedding(config.n_positions, dim=config.n_embd)
        self.layers = ModuleList(Layer(config) for _ in range(config.n_layer))
        self.final_norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, tokens):
        places = F.arange(0, tokens.shape[1], dtype=DType.int64, device=tokens.device)
        x = self.token_embedding(tokens) + self.position_embedding(places)  # [S, D] is enough
        for layer in self.layers:
            x = layer(x)
        return self.final_norm(x) @ self.token_embedding.weight.T
