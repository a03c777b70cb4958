"""Blocks in a plain list, a linear layer laid out [in, out], LayerNorm and activation by hand."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor


class Conv1D(Module):
    def __init__(self, inputs, outputs):
        self.weight = Tensor.zeros([inputs, outputs])
        self.bias = Tensor.zeros([outputs])

    def forward(self, x):
        return x @ self.weight + self.bias


class Norm(Module):
    def __init__(self, width, eps):
        self.eps = eps
        self.gamma = Tensor.ones([width])
        self.beta = Tensor.zeros([width])

    def forward(self, x):
        centred = x - F.mean(x, axis=-1)
        variance = F.mean(centred * centred, axis=-1)
        return centred * F.rsqrt(variance + self.eps) * self.gamma + self.beta


class NewGELU(Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + F.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


class Block(Module):
    def __init__(self, config, act):
        width = config.n_embd
        self.n_head = config.n_head
        self.n1 = Norm(width, config.layer_norm_epsilon)
        self.attn_in, self.attn_out = Conv1D(width, 3 * width), Conv1D(width, width)
        self.n2 = Norm(width, config.layer_norm_epsilon)
        self.mlp_in, self.mlp_out = Conv1D(width, 4 * width), Conv1D(4 * width, width)
        self.act = act

    def attention(self, x):
        batch, length, width = x.shape
        parts = self.attn_in(x).reshape([batch, length, 3, self.n_head, width // self.n_head])
        q, k, v = (part.squeeze(2).transpose(1, 2) for part in F.split(parts, [1, 1, 1], axis=2))
        scores = q @ k.transpose(-2, -1) / math.sqrt(int(width) // self.n_head)
        fill = F.constant(-math.inf, dtype=x.dtype, device=x.device)
        ahead = F.broadcast_to(fill, [length, length])
        scores = scores + F.band_part(ahead, num_lower=None, num_upper=0, exclude=True)
        return self.attn_out((F.softmax(scores) @ v).transpose(1, 2).reshape(x.shape))

    def forward(self, x):
        x = x + self.attention(self.n1(x))
        return x + self.mlp_out(self.act(self.mlp_in(self.n2(x))))


class Table(Module):
    def __init__(self, rows, width):
        self.rows = Tensor.zeros([rows, width])

    def forward(self, index):
        return F.gather(self.rows, index, axis=0)


class GPT(Module):
    def __init__(self, config):
        self.words = Table(config.vocab_size, config.n_embd)
        self.places = Table(config.n_positions, config.n_embd)
        act = NewGELU()  # one for all blocks
        self.blocks = [Block(config, act) for _ in range(config.n_layer)]
        self.last = Norm(config.n_embd, config.layer_norm_epsilon)

    def forward(self, ids):
        index = F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device).unsqueeze(0)
        index = F.broadcast_to(index, ids.shape)  # positions for every row of the batch
        x = self.words(ids) + self.places(index)
        for block in self.blocks:
            x = block(x)
        return self.last(x) @ self.words.rows.T
