"""A Llama: RMSNorm, rotary embeddings, grouped-query attention, SwiGLU; and one with a fault."""

import numpy as np
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, Linear, Module, ModuleList
from max.experimental.tensor import Tensor
from own_names import causal


class RMSNorm(Module):
    def __init__(self, width, eps):
        self.weight = Tensor.ones([width])
        self.eps = eps

    def forward(self, x):
        return x * F.rsqrt(F.mean(x * x, axis=-1) + self.eps) * self.weight


def angles(length, head_dim, theta, device):
    """Cosine and sine of position times frequency, `[S, head_dim / 2]`."""
    frequencies = 1 / theta ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)
    steps = F.cast(F.arange(0, length, dtype=DType.int64, device=device), DType.float32)
    turned = steps.unsqueeze(1) * F.constant(frequencies[None], device=device)
    return F.cos(turned), F.sin(turned)


def rotated(x, cos, sin):
    """Each pair (x[i], x[i + K/2]) turned by its angle: `[B, H, S, K]`."""
    first, second = F.chunk(x, 2, axis=-1)
    return F.concat([first * cos - second * sin, second * cos + first * sin], axis=-1)


class Attention(Module):
    def __init__(self, config):
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, self.theta = config.head_dim, config.rope_parameters["rope_theta"]
        width, inner = config.hidden_size, self.groups * self.head_dim
        self.q_proj = Linear(width, self.heads * self.head_dim, bias=False)
        self.k_proj = Linear(width, inner, bias=False)
        self.v_proj = Linear(width, inner, bias=False)
        self.o_proj = Linear(self.heads * self.head_dim, width, bias=False)

    def angles(self, length, device):
        return angles(length, self.head_dim, self.theta, device)

    def split(self, x, count):
        return x.reshape([x.shape[0], x.shape[1], count, self.head_dim]).transpose(1, 2)

    def shared(self, x):
        """One key or value head for several query heads: `[B, G, S, K]` to `[B, H, S, K]`."""
        batch, groups, length, size = x.shape
        each = self.heads // self.groups
        wide = F.broadcast_to(x.unsqueeze(2), [batch, groups, each, length, size])
        return wide.reshape([batch, self.heads, length, size])

    def weights(self, scores):
        return F.softmax(scores)

    def forward(self, x):
        cos, sin = self.angles(x.shape[1], x.device)
        q = rotated(self.split(self.q_proj(x), self.heads), cos, sin)
        k = self.shared(rotated(self.split(self.k_proj(x), self.groups), cos, sin))
        v = self.shared(self.split(self.v_proj(x), self.groups))
        weights = self.weights(causal(q @ k.transpose(-2, -1) * self.head_dim**-0.5))
        mixed = (weights @ v).transpose(1, 2)
        return self.o_proj(mixed.reshape([x.shape[0], x.shape[1], self.heads * self.head_dim]))


class MLP(Module):
    def __init__(self, config):
        self.gate_proj = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(Module):
    def __init__(self, config):
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Backbone(Module):
    def __init__(self, config):
        self.embed_tokens = Embedding(config.vocab_size, dim=config.hidden_size)
        self.layers = ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Llama(Module):
    def __init__(self, config):
        self.model = Backbone(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, ids):
        return self.lm_head(self.model(ids))


class BackwardAttention(Attention):
    """Rotary embeddings that turn backwards, and so see distances with the wrong sign."""

    def angles(self, length, device):
        cos, sin = super().angles(length, device)
        return cos, -sin


def backwards(config):
    """A Llama with that fault in its second block."""
    model = Llama(config)
    model.model.layers[1].self_attn = BackwardAttention(config)
    return model


class RoundedAttention(Attention):
    """The softmax's result goes through bfloat16."""

    def weights(self, scores):
        return F.cast(F.cast(super().weights(scores), DType.bfloat16), DType.float32)


def rounded(config):
    """A Llama with that fault in its second block."""
    model = Llama(config)
    model.model.layers[1].self_attn = RoundedAttention(config)
    return model


class RoundedMLP(MLP):
    """Its result goes through float16."""

    def forward(self, x):
        return F.cast(F.cast(super().forward(x), DType.float16), DType.float32)


def rounded_mlp(config):
    """A Llama with that fault in its first block."""
    model = Llama(config)
    model.model.layers[0].mlp = RoundedMLP(config)
    return model
