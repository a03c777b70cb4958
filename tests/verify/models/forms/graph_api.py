"""GPT-2s of the graph API: on `max.nn`, as plain classes, and as a function."""

import math
from functools import partial

from max import nn
from max.dtype import DType
from max.graph import DeviceRef, TensorValue, Weight, ops

CPU = DeviceRef.CPU()
FLOAT = DType.float32


def positions(ids):
    """[S], int64."""
    length = ops.shape_to_tensor([ids.shape[1]])[0]
    return ops.range(0, length, 1, out_dim=ids.shape[1], device=CPU, dtype=DType.int64)


def attend(q, k, v, count):
    """Causal attention by head, merged again to [B, S, D]."""
    batch, length, width = q.shape
    size = int(width) // count

    def by_head(x):
        return ops.permute(ops.reshape(x, [batch, length, count, size]), [0, 2, 1, 3])

    q, k, v = (by_head(x) for x in (q, k, v))
    scores = (q @ ops.transpose(k, -2, -1)) * (1.0 / math.sqrt(size))
    blocked = ops.broadcast_to(ops.constant(-math.inf, FLOAT, CPU), [length, length])
    scores = scores + ops.band_part(blocked, num_lower=None, num_upper=0, exclude=True)
    mixed = ops.permute(ops.softmax(scores) @ v, [0, 2, 1, 3])
    return ops.reshape(mixed, [batch, length, width])


def thirds(qkv):
    width = int(qkv.shape[-1]) // 3
    return ops.split(qkv, [width] * 3, axis=-1)


class NNAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.count = config.n_head
        self.c_attn = linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = linear(config.n_embd, config.n_embd)

    def __call__(self, x):
        return self.c_proj(attend(*thirds(self.c_attn(x)), self.count))


class NNFeedForward(nn.Module):
    approximation = "tanh"

    def __init__(self, config):
        super().__init__()
        self.c_fc = linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = linear(4 * config.n_embd, config.n_embd)

    def __call__(self, x):
        return self.c_proj(ops.gelu(self.c_fc(x), approximate=self.approximation))


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, FLOAT, CPU, has_bias=True)


def norm(config):
    return nn.LayerNorm(config.n_embd, [CPU], FLOAT, eps=config.layer_norm_epsilon)


class NNBlock(nn.Module):
    feed_forward = NNFeedForward

    def __init__(self, config):
        super().__init__()
        self.ln_1 = norm(config)
        self.attn = NNAttention(config)
        self.ln_2 = norm(config)
        self.mlp = self.feed_forward(config)

    def __call__(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NNModel(nn.Module):
    """All of it on `max.nn`."""

    block = NNBlock

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd, FLOAT, CPU)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd, FLOAT, CPU)
        self.h = nn.LayerList([self.block(config) for _ in range(config.n_layer)])
        self.ln_f = norm(config)

    def hidden(self, ids):
        x = self.wte(ids) + self.wpe(positions(ids))
        for block in self.h:
            x = block(x)
        return self.ln_f(x)

    def __call__(self, ids):
        return self.hidden(ids) @ TensorValue(self.wte.weight).T


class NNTied(NNModel):
    """Its head is a module of its own, on the embedding's weight."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, FLOAT, CPU)
        self.lm_head.set_shared_weight("weight", self.wte.weight)

    def __call__(self, ids):
        return self.lm_head(self.hidden(ids))


class NNGrown(NNModel):
    """Its last block is appended to the list of blocks."""

    def __init__(self, config):
        super().__init__(config)
        self.h = nn.LayerList([self.block(config)])
        for _ in range(1, config.n_layer):
            self.h.append(self.block(config))


class NNHidden(NNModel):
    def __call__(self, ids):
        return self.hidden(ids), None


class ErfFeedForward(NNFeedForward):
    approximation = "none"


class ErfBlock(NNBlock):
    feed_forward = ErfFeedForward


class NNErf(NNModel):
    block = ErfBlock


def weight(*shape):
    return Weight("named by the harness", FLOAT, shape, CPU)


class Dense:
    """x W + b; nothing of MAX's but operations."""

    def __init__(self, inputs, outputs):
        self.w, self.b = weight(inputs, outputs), weight(outputs)

    def __call__(self, x):
        return x @ self.w + self.b


class Norm:
    def __init__(self, config):
        self.gain, self.shift = weight(config.n_embd), weight(config.n_embd)
        self.eps = config.layer_norm_epsilon

    def __call__(self, x):
        return ops.layer_norm(x, self.gain, self.shift, self.eps)


class Layer:
    def __init__(self, config):
        self.count = config.n_head
        self.norm_1, self.norm_2 = Norm(config), Norm(config)
        self.qkv = Dense(config.n_embd, 3 * config.n_embd)
        self.out = Dense(config.n_embd, config.n_embd)
        self.up = Dense(config.n_embd, 4 * config.n_embd)
        self.down = Dense(4 * config.n_embd, config.n_embd)

    def __call__(self, x):
        x = x + self.out(attend(*thirds(self.qkv(self.norm_1(x))), self.count))
        return x + self.down(ops.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Plain:
    """Classes of one's own; what is computed in a trace is kept in an attribute."""

    def __init__(self, config):
        self.tokens = weight(config.vocab_size, config.n_embd)
        self.places = weight(config.n_positions, config.n_embd)
        self.layers = [Layer(config) for _ in range(config.n_layer)]
        self.last = Norm(config)
        self.embedded = None

    def __call__(self, ids):
        if self.embedded is None:
            self.embedded = ops.gather(self.tokens, ids, axis=0)
        x = self.embedded + ops.gather(self.places, positions(ids), axis=0)
        for layer in self.layers:
            x = layer(x)
        return self.last(x) @ TensorValue(self.tokens).T


def gpt2(weights, config, ids):
    """Token ids to logits, from weights by name."""

    def norm(x, name):
        gain, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return ops.layer_norm(x, gain, shift, config.layer_norm_epsilon)

    def dense(x, name):
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = ops.gather(weights["wte"], ids, axis=0) + ops.gather(weights["wpe"], positions(ids), axis=0)
    for layer in range(config.n_layer):
        name = f"h.{layer}"
        mixed = attend(*thirds(dense(norm(x, f"{name}.ln_1"), f"{name}.attn")), config.n_head)
        x = x + dense(mixed, f"{name}.out")
        hidden = ops.gelu(dense(norm(x, f"{name}.ln_2"), f"{name}.up"), approximate="tanh")
        x = x + dense(hidden, f"{name}.down")
    return norm(x, "ln_f") @ TensorValue(weights["wte"]).T


def weights_of(config):
    d = config.n_embd
    made = {"wte": weight(config.vocab_size, d), "wpe": weight(config.n_positions, d)}
    made |= {"ln_f.weight": weight(d), "ln_f.bias": weight(d)}
    sizes = {"attn": (d, 3 * d), "out": (d, d), "up": (d, 4 * d), "down": (4 * d, d)}
    for layer in range(config.n_layer):
        for name in ("ln_1", "ln_2"):
            made |= {f"h.{layer}.{name}.{kind}": weight(d) for kind in ("weight", "bias")}
        for name, shape in sizes.items():
            made[f"h.{layer}.{name}.weight"] = weight(*shape)
            made[f"h.{layer}.{name}.bias"] = weight(shape[1])
    return made


def closure(config):
    weights = weights_of(config)

    def model(ids):
        return gpt2(weights, config, ids)

    return model


def bound_arguments(config):
    return partial(gpt2, weights_of(config), config)


class Methods:
    def __init__(self, config):
        self.config, self.weights = config, weights_of(config)

    def run(self, ids):
        return gpt2(self.weights, self.config, ids)


def method(config):
    return Methods(config).run


def without_weights(config):
    return lambda ids: ids


class Ragged(nn.Module):
    """What an architecture package has."""

    def __init__(self, config):
        super().__init__()
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, FLOAT, CPU)

    def __call__(self, tokens, kv_collections, return_n_logits, input_row_offsets):
        return self.lm_head(tokens)


class Elsewhere:
    """Its weight is on an accelerator."""

    def __init__(self, config):
        self.table = Weight("table", FLOAT, [config.vocab_size, config.n_embd], DeviceRef.GPU())

    def __call__(self, ids):
        return ops.gather(self.table, ids, axis=0)


class Unset:
    """A weight that its code expects is set nowhere."""

    def __init__(self, config):
        self.table = weight(config.vocab_size, config.n_embd)

    def __call__(self, ids):
        return ops.gather(self.table, ids, axis=0) @ self.head


class OwnBuffer(NNModel):
    """It has a weight that GPT-2 lacks, and no value for it."""

    def __init__(self, config):
        super().__init__(config)
        self.scale = Weight("scale", FLOAT, [7], CPU)

    def __call__(self, ids):
        return super().__call__(ids) * self.scale[0]
