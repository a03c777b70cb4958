"""GPT-2s with a GELU of their own: constants that are arrays of float32, and casts to bfloat16."""

import math

import numpy as np
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module
from own_names import MyGPT

ROOT = math.sqrt(2 / math.pi)


class Gelu(Module):
    def __init__(self, root):
        self.root = root

    def forward(self, x):
        root = F.constant(self.root, DType.float32, x.device)
        return 0.5 * x * (1 + F.tanh(root * (x + 0.044715 * x * x * x)))


class FeedForward(Module):
    def __init__(self, old, act):
        self.up, self.down, self.act = old.up, old.down, act

    def forward(self, x):
        return self.down(self.act(self.up(x)))


def with_gelu(config, root):
    """The model, with this GELU in its second block."""
    model = MyGPT(config)
    layer = model.layers[1]
    layer.feed_forward = FeedForward(layer.feed_forward, Gelu(root))
    return model


def gelu_in_float32(config):
    return with_gelu(config, np.full([1], ROOT, np.float32))


def gelu_with_another_number(config):
    return with_gelu(config, np.full([1], ROOT * (1 + 1e-5), np.float32))


def exact_numbers(config):
    return with_gelu(config, ROOT)


class NarrowGelu(Module):
    """In bfloat16, as a kernel for 16 bits has it."""

    def forward(self, x):
        return F.cast(F.gelu(F.cast(x, DType.bfloat16), approximate="tanh"), DType.float32)


def gelu_in_bfloat16(config):
    model = with_gelu(config, ROOT)
    model.layers[1].feed_forward.act = NarrowGelu()
    return model
