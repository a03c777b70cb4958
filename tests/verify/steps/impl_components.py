"""impl's components under the names that the steps ask for."""

import numpy as np
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import LayerNorm, Module

from impl.config import GPT2Config
from impl.generate import generate as stream
from impl.model import (  # noqa: F401
    GPT2MLP,
    GPT2Attention,
    GPT2Block,
    GPT2LMHeadModel,
    GPT2Model,
    causal_mask,
)


def TokenEmbedding(config):  # noqa: N802 - as the step names it
    return GPT2Model(config).wte


class PositionEmbedding(Module):
    def __init__(self, config):
        self.wpe = GPT2Model(config).wpe

    def forward(self, ids):
        positions = F.arange(0, ids.shape[-1], dtype=DType.int64, device=ids.device)
        return self.wpe(positions.unsqueeze(0))


class Residual(Module):
    def __init__(self, config, sublayer):
        self.ln = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.sublayer = sublayer

    def forward(self, x):
        return x + self.sublayer(self.ln(x))


class NextToken:
    """What impl.generate asks of a model, over a function from ids to logits."""

    def __init__(self, logits):
        self.config = GPT2Config(vocab_size=97, n_positions=48, n_embd=64, n_layer=2, n_head=4)
        self.all_logits = logits

    def logits(self, ids):
        return self.all_logits(ids)[:, -1]


def generate(logits, ids, max_new_tokens):
    steps = stream(
        NextToken(logits), ids, max_new_tokens=max_new_tokens,
        sampler=lambda scores: scores.argmax(axis=-1),
    )  # fmt: skip
    return np.concatenate([ids, *(step.tokens[:, None] for step in steps)], axis=1)
