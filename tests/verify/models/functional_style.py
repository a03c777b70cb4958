"""One module that holds all weights in dicts; everything else is functions."""

import math

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor


def norm(x, p, eps):
    return F.layer_norm(x, gamma=p["g"], beta=p["b"], epsilon=eps)


def linear(x, p):
    return x @ p["w"] + p["b"]


def attention(x, p, n_head):
    batch, length, width = x.shape
    shape = [batch, length, n_head, int(width) // n_head]
    q, k, v = (t.reshape(shape).transpose(1, 2) for t in F.chunk(linear(x, p["qkv"]), 3, axis=-1))
    scores = q @ k.transpose(-2, -1) / math.sqrt(int(width) // n_head)
    fill = F.constant(-math.inf, dtype=x.dtype, device=x.device)
    ahead = F.broadcast_to(fill, [length, length])
    scores = scores + F.band_part(ahead, num_lower=None, num_upper=0, exclude=True)
    return linear((F.softmax(scores) @ v).transpose(1, 2).reshape(x.shape), p["out"])


def mlp(x, p):
    return linear(F.gelu(linear(x, p["fc"]), approximate="tanh"), p["proj"])


def matrix(inputs, outputs):
    return {"w": Tensor.zeros([inputs, outputs]), "b": Tensor.zeros([outputs])}


class GPT(Module):
    def __init__(self, config):
        d = config.n_embd
        self.config = config
        self.wte, self.wpe = (
            Tensor.zeros([config.vocab_size, d]),
            Tensor.zeros([config.n_positions, d]),
        )
        self.layers = [
            {
                "ln1": {"g": Tensor.ones([d]), "b": Tensor.zeros([d])},
                "attn": {"qkv": matrix(d, 3 * d), "out": matrix(d, d)},
                "ln2": {"g": Tensor.ones([d]), "b": Tensor.zeros([d])},
                "mlp": {"fc": matrix(d, 4 * d), "proj": matrix(4 * d, d)},
            }
            for _ in range(config.n_layer)
        ]
        self.lnf = {"g": Tensor.ones([d]), "b": Tensor.zeros([d])}

    def forward(self, ids):
        eps = self.config.layer_norm_epsilon
        index = F.arange(0, ids.shape[1], dtype=DType.int64, device=ids.device)
        x = F.gather(self.wte, ids, axis=0) + F.gather(self.wpe, index, axis=0)
        for p in self.layers:
            x = x + attention(norm(x, p["ln1"], eps), p["attn"], self.config.n_head)
            x = x + mlp(norm(x, p["ln2"], eps), p["mlp"])
        return norm(x, self.lnf, eps) @ self.wte.T
