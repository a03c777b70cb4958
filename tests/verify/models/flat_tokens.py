"""Weights by HF's names in a class of its own for each layer; embeddings on flattened tokens."""

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module

from impl.model import GPT2LMHead, GPT2Model


class FlatModel(GPT2Model):
    def forward(self, input_ids):
        batch, length = input_ids.shape
        index = F.arange(0, length, dtype=DType.int64, device=input_ids.device)
        flat = self.wte(input_ids.reshape([batch * length]))  # [B * S, D]
        x = flat.reshape([batch, length, flat.shape[-1]]) + self.wpe(index)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class Model(Module):
    def __init__(self, config):
        self.transformer = FlatModel(config)
        self.lm_head = GPT2LMHead(self.transformer.wte.weight)

    def forward(self, input_ids):
        return self.lm_head(self.transformer(input_ids))
