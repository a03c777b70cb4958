"""The weights of all blocks stacked along a first axis, one MLP module, names that say nothing."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor


class Stacked(Module):
    def __init__(self, config):
        n, d = config.n_layer, config.n_embd
        self.config = config
        self.tokens = Tensor.zeros([config.vocab_size, d])
        self.positions = Tensor.zeros([config.n_positions, d])
        self.norm1_scale, self.norm1_shift = Tensor.ones([n, d]), Tensor.zeros([n, d])
        self.a, self.a_bias = Tensor.zeros([n, d, d]), Tensor.zeros([n, d])
        self.b, self.b_bias = Tensor.zeros([n, d, d]), Tensor.zeros([n, d])
        self.c, self.c_bias = Tensor.zeros([n, d, d]), Tensor.zeros([n, d])
        self.out, self.out_bias = Tensor.zeros([n, d, d]), Tensor.zeros([n, d])
        self.norm2_scale, self.norm2_shift = Tensor.ones([n, d]), Tensor.zeros([n, d])
        self.up, self.up_bias = Tensor.zeros([n, d, 4 * d]), Tensor.zeros([n, 4 * d])
        self.down, self.down_bias = Tensor.zeros([n, 4 * d, d]), Tensor.zeros([n, d])
        self.last_scale, self.last_shift = Tensor.ones([d]), Tensor.zeros([d])

    def norm(self, x, scale, shift):
        return F.layer_norm(x, gamma=scale, beta=shift, epsilon=self.config.layer_norm_epsilon)

    def attention(self, x, i):
        config, (batch, length, _) = self.config, x.shape
        k, v, q = (
            (x @ w[i] + b[i]).reshape([batch, length, config.n_head, config.head_dim])
            for w, b in ((self.a, self.a_bias), (self.b, self.b_bias), (self.c, self.c_bias))
        )
        scores = q.transpose(1, 2) @ k.permute([0, 2, 3, 1]) / math.sqrt(config.head_dim)
        fill = F.constant(-math.inf, dtype=x.dtype, device=x.device)
        ahead = F.broadcast_to(fill, [length, length])
        scores = scores + F.band_part(ahead, num_lower=None, num_upper=0, exclude=True)
        mixed = (F.softmax(scores) @ v.transpose(1, 2)).transpose(1, 2).reshape(x.shape)
        return mixed @ self.out[i] + self.out_bias[i]

    def forward(self, ids):
        index = F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device)
        x = F.gather(self.tokens, ids, axis=0) + F.gather(self.positions, index, axis=0)
        for i in range(self.config.n_layer):
            x = x + self.attention(self.norm(x, self.norm1_scale[i], self.norm1_shift[i]), i)
            y = self.norm(x, self.norm2_scale[i], self.norm2_shift[i])
            y = F.gelu(y @ self.up[i] + self.up_bias[i], approximate="tanh")
            x = x + (y @ self.down[i] + self.down_bias[i])
        return self.norm(x, self.last_scale, self.last_shift) @ self.tokens.T
