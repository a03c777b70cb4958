"""No module for a block: attentions, MLPs and LayerNorms in lists of their own."""

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Module, ModuleList
from own_names import FeedForward, SelfAttention


def norm(config):
    return LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)


class Flat(Module):
    def __init__(self, config):
        self.embed = Embedding(config.vocab_size, dim=config.n_embd)
        self.pos_embed = Embedding(config.n_positions, dim=config.n_embd)
        depth = range(config.n_layer)
        self.attentions = ModuleList(SelfAttention(config) for _ in depth)
        self.mlps = ModuleList(FeedForward(config) for _ in depth)
        self.norms_1 = ModuleList(norm(config) for _ in depth)
        self.norms_2 = ModuleList(norm(config) for _ in depth)
        self.norm_f = norm(config)

    def forward(self, ids):
        index = F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device)
        x = self.embed(ids) + self.pos_embed(index)
        for i, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            x = x + attention(self.norms_1[i](x))
            x = x + mlp(self.norms_2[i](x))
        return self.norm_f(x) @ self.embed.weight.T


class NoActivation(FeedForward):
    def forward(self, x):
        return self.down(self.up(x))


def linear_mlps(config):
    """The activation is forgotten: what it takes is what it returns."""
    model = Flat(config)
    model.mlps = ModuleList(NoActivation(config) for _ in range(config.n_layer))
    return model
