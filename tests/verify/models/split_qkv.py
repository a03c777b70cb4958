"""A GPT-2 with separate query, key and value projections, and a head that is not tied."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module, ModuleList


class Attention(Module):
    def __init__(self, config):
        self.n_head, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.q_proj = Linear(config.n_embd, config.n_embd)
        self.k_proj = Linear(config.n_embd, config.n_embd)
        self.v_proj = Linear(config.n_embd, config.n_embd)
        self.o_proj = Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        shape = [x.shape[0], x.shape[1], self.n_head, self.head_dim]
        q = self.q_proj(x).reshape(shape).transpose(1, 2)
        k = self.k_proj(x).reshape(shape).transpose(1, 2)
        v = self.v_proj(x).reshape(shape).transpose(1, 2)
        length = x.shape[1]
        fill = F.constant(-math.inf, dtype=x.dtype, device=x.device)
        mask = F.band_part(
            F.broadcast_to(fill, [length, length]), num_lower=None, num_upper=0, exclude=True
        )
        weights = F.softmax(q @ k.transpose(-2, -1) * self.head_dim**-0.5 + mask)
        return self.o_proj((weights @ v).transpose(1, 2).reshape(x.shape))


class GELU(Module):
    def forward(self, x):
        return F.gelu(x, approximate="tanh")


class MLP(Module):
    def __init__(self, config):
        self.fc1 = Linear(config.n_embd, 4 * config.n_embd)
        self.gelu = GELU()
        self.fc2 = Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x):
        return self.fc2(self.gelu(self.fc1(x)))


class DecoderLayer(Module):
    def __init__(self, config):
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.post_attention_layernorm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(Module):
    def __init__(self, config):
        self.embed_tokens = Embedding(config.vocab_size, dim=config.n_embd)
        self.embed_positions = Embedding(config.n_positions, dim=config.n_embd)
        self.layers = ModuleList(DecoderLayer(config) for _ in range(config.n_layer))
        self.norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, input_ids):
        positions = F.arange(0, input_ids.shape[1], dtype=DType.int64, device=input_ids.device)
        x = self.embed_tokens(input_ids) + self.embed_positions(positions.unsqueeze(0))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class ForCausalLM(Module):
    def __init__(self, config):
        self.model = Decoder(config)
        self.lm_head = Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, input_ids):
        return self.lm_head(self.model(input_ids))
