"""A GPT-2 in MAX under its author's own names; its layers are in another file."""

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Module, ModuleList

from reports.layers import Layer


class MyGPT2(Module):
    def __init__(self, config):
        self.tokens = Embedding(config.vocab_size, dim=config.n_embd)
        self.positions = Embedding(config.n_positions, dim=config.n_embd)
        self.layers = ModuleList(Layer(config) for _ in range(config.n_layer))
        self.norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, ids):
        at = F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device)
        x = self.tokens(ids) + self.positions(at)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) @ self.tokens.weight.T
