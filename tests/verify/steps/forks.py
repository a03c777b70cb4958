"""Files as forks of Modular's book have them: they import each other, and have its names."""

CONFIG = """
from dataclasses import dataclass


@dataclass
class GPT2Config:
    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    layer_norm_epsilon: float = 1e-5
"""

MASK = """
from max.experimental import functional as F
from max.experimental.tensor import Tensor
from max.graph import Dim


def causal_mask(sequence_length, num_tokens, *, dtype, device):
    mask = F.constant(float("-inf"), dtype=dtype, device=device)
    mask = F.broadcast_to(mask, [sequence_length, Dim(sequence_length) + num_tokens])
    return F.band_part(mask, num_lower=None, num_upper=0, exclude=True)
"""

MLP = """
from max.experimental import functional as F
from max.experimental.nn import Linear, Module

from {config} import GPT2Config


class GPT2MLP(Module):
    def __init__(self, intermediate_size: int, config: GPT2Config):
        self.c_fc = Linear(config.n_embd, intermediate_size)
        self.c_proj = Linear(intermediate_size, config.n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
"""

POSITIONS = """
from max.experimental.nn import Embedding, Module


class GPT2PositionEmbeddings(Module):
    def __init__(self, config):
        self.wpe = Embedding(config.n_positions, dim=config.n_embd)

    def forward(self, position_ids):
        return self.wpe(position_ids)
"""

ATTENTION = """
import math

from max.experimental import functional as F
from max.experimental.nn import Linear, Module

from {mask} import causal_mask


class GPT2MultiHeadAttention(Module):
    def __init__(self, config):
        self.n_head, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = Linear(config.n_embd, config.n_embd)

    def heads(self, x):
        return x.reshape([x.shape[0], x.shape[1], self.n_head, self.head_dim]).transpose(1, 2)

    def forward(self, x):
        q, k, v = map(self.heads, F.chunk(self.c_attn(x), 3, axis=-1))
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        mask = causal_mask(x.shape[1], 0, dtype=scores.dtype, device=scores.device)
        mixed = (F.softmax(scores + mask) @ v).transpose(1, 2)
        return self.c_proj(mixed.reshape([x.shape[0], x.shape[1], self.n_head * self.head_dim]))
"""

BLOCK = """
from max.experimental.nn import LayerNorm, Module

from {attention} import GPT2MultiHeadAttention
from {mlp} import GPT2MLP


class Norms(Module):
    def __init__(self, config):
        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, x):
        return self.ln_2(self.ln_1(x))


class TransformerLayer(Module):
    def __init__(self, config):
        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2MultiHeadAttention(config)
        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(4 * config.n_embd, config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))
"""


def write(folder, *, package=""):
    """Write the files of a learner, whose imports go through a package or are of one folder."""
    stem = "solution" if package else "step"
    dot = f"{package}." if package else ""
    names = {
        "config": f"{dot}{stem}_01", "mask": f"{dot}{stem}_02", "mlp": f"{dot}{stem}_04",
        "attention": f"{dot}{stem}_07",
    }  # fmt: skip
    texts = {1: CONFIG, 2: MASK, 4: MLP, 6: POSITIONS, 7: ATTENTION, 9: BLOCK}
    folder.mkdir(parents=True)
    for number, text in texts.items():
        for part, name in names.items():
            text = text.replace(f"{{{part}}}", name)
        (folder / f"{stem}_{number:02}.py").write_text(text)
    return folder
