"""GPT-2s in several styles, each with one fault that somebody might make."""

import math

import functional_style
import list_of_blocks
import own_names
import sequential
import split_qkv
import stacked
from max.experimental import functional as F
from max.experimental.nn import Linear, Module


class ErfFeedForward(own_names.FeedForward):
    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="none"))


class UnmaskedAttention(own_names.SelfAttention):
    def forward(self, x):
        q, k, v = (own_names.heads(t, self.heads) for t in F.chunk(self.qkv(x), 3, axis=-1))
        mixed = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(int(q.shape[-1]))) @ v
        return self.out(mixed.transpose(1, 2).reshape(x.shape))


def _own(config, name, part):
    model = own_names.MyGPT(config)
    for layer in model.layers:
        setattr(layer, name, part(config))
    return model


def erf(config):
    return _own(config, "feed_forward", ErfFeedForward)


def no_mask(config):
    return _own(config, "self_attention", UnmaskedAttention)


def no_bias(config):
    model = own_names.MyGPT(config)
    for layer in model.layers:
        layer.self_attention.qkv = Linear(config.n_embd, 3 * config.n_embd, bias=False)
    return model


class ScaledByWidth(split_qkv.Attention):
    def __init__(self, config):
        super().__init__(config)
        self.head_dim_of_scale = config.n_embd

    def forward(self, x):
        shape = [x.shape[0], x.shape[1], self.n_head, self.head_dim]
        q, k, v = (
            part(x).reshape(shape).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = own_names.causal(q @ k.transpose(-2, -1) * self.head_dim_of_scale**-0.5)
        return self.o_proj((F.softmax(scores) @ v).transpose(1, 2).reshape(x.shape))


class SwappedAttention(split_qkv.Attention):
    """Keys and values change places."""

    def forward(self, x):
        shape = [x.shape[0], x.shape[1], self.n_head, self.head_dim]
        q, v, k = (
            part(x).reshape(shape).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = own_names.causal(q @ k.transpose(-2, -1) * self.head_dim**-0.5)
        return self.o_proj((F.softmax(scores) @ v).transpose(1, 2).reshape(x.shape))


def _split(config, part):
    model = split_qkv.ForCausalLM(config)
    for layer in model.model.layers:
        layer.self_attn = part(config)
    return model


def scaled_by_width(config):
    return _split(config, ScaledByWidth)


def key_and_value_swapped(config):
    return _split(config, SwappedAttention)


class UnbiasedNorm(list_of_blocks.Norm):
    def forward(self, x):
        centred = x - F.mean(x, axis=-1)
        width = int(x.shape[-1])
        variance = F.mean(centred * centred, axis=-1) * (width / (width - 1))
        return centred * F.rsqrt(variance + self.eps) * self.gamma + self.beta


def unbiased(config):
    model = list_of_blocks.GPT(config)
    for block in model.blocks:
        block.n1 = UnbiasedNorm(config.n_embd, config.layer_norm_epsilon)
    return model


def other_epsilon(config):
    model = list_of_blocks.GPT(config)
    for block in model.blocks:
        block.n1.eps = 1e-6
    return model


class LatePositions(Module):
    def __init__(self, embedding, last):
        self.embedding, self.last = embedding, last

    def forward(self, index):
        return self.embedding(F.min(index + 1, self.last))


def positions_from_one(config):
    model = sequential.gpt(config)
    pos = model[0].pos
    model[0].pos = LatePositions(pos, config.n_positions - 1)
    return model


class Swallowing(Module):
    """A residual connection that adds nothing."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def no_residual(config):
    model = sequential.gpt(config)
    for index in range(1, config.n_layer + 1):
        model[index][0] = Swallowing(model[index][0].inner)
    return model


class ErfFunctional(functional_style.GPT):
    """Functions all the way: only the logits show that GELU is another."""

    def forward(self, ids):
        right = functional_style.mlp
        functional_style.mlp = lambda x, p: functional_style.linear(
            F.gelu(functional_style.linear(x, p["fc"]), approximate="none"), p["proj"]
        )
        try:
            return super().forward(ids)
        finally:
            functional_style.mlp = right


class NoLastNorm(stacked.Stacked):
    """The last LayerNorm is left out."""

    def norm(self, x, scale, shift):
        return x if scale is self.last_scale else super().norm(x, scale, shift)
