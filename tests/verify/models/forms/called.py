"""GPT-2s whose modules are called in other ways: by a `__call__` of their own, or by `forward`."""

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module
from own_names import attend


class Attention(Module):
    def __init__(self, config):
        self.count = config.n_head
        self.qkv = Linear(config.n_embd, 3 * config.n_embd)
        self.out = Linear(config.n_embd, config.n_embd)

    def __call__(self, x):
        return self.out(attend(*F.chunk(self.qkv(x), 3, axis=-1), self.count))


class FeedForward(Module):
    approximation = "tanh"

    def __init__(self, config):
        self.up = Linear(config.n_embd, 4 * config.n_embd)
        self.down = Linear(4 * config.n_embd, config.n_embd)

    def __call__(self, x):
        return self.down(F.gelu(self.up(x), approximate=self.approximation))


class ErfFeedForward(FeedForward):
    """Its parent's `__call__` does the work: together they are one call."""

    approximation = "none"

    def __call__(self, x):
        return super().__call__(x)


class Block(Module):
    feed_forward = FeedForward

    def __init__(self, config):
        self.norm_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attention = Attention(config)
        self.norm_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = self.feed_forward(config)

    def __call__(self, x):
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(x=self.norm_2(x))


class Called(Module):
    """No module has a `forward` of its own but those of MAX."""

    block = Block

    def __init__(self, config):
        self.tokens = Embedding(config.vocab_size, dim=config.n_embd)
        self.positions = Embedding(config.n_positions, dim=config.n_embd)
        self.blocks = [self.block(config) for _ in range(config.n_layer)]
        self.norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def places(self, ids):
        return F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device)

    def __call__(self, ids):
        x = self.tokens(ids) + self.positions(self.places(ids))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.weight.T


class ErfBlock(Block):
    feed_forward = ErfFeedForward


class ErfCalled(Called):
    block = ErfBlock


def erf(config):
    return ErfCalled(config)


class Forwarded(Called):
    """Its parts are called as `part.forward(x)`."""

    def forward(self, ids):
        embedded = self.tokens.forward(ids)
        x = embedded + self.positions.forward(self.places(ids))
        for block in self.blocks:
            x = x + block.attention(block.norm_1.forward(x))
            hidden = F.gelu(block.mlp.up.forward(block.norm_2.forward(x)), approximate="tanh")
            x = x + block.mlp.down.forward(hidden)
        return self.norm.forward(x) @ self.tokens.weight.T

    def __call__(self, ids):
        return self.forward(ids)
