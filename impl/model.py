"""GPT-2 in MAX, to be read from top to bottom.

Every class computes one named part of the model, and every attribute carries Hugging Face's own
name, so that a weight or an activation has the same path on both sides (`transformer.h.0.attn`).
Shapes stand behind the lines: B batch, S sequence, D n_embd, H heads, K features of a head.

Weights of linear layers are laid out `[out, in]`, the transpose of the checkpoint's Conv1D:
`impl.weights` turns them once when they are loaded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module, ModuleList
from max.experimental.tensor import Tensor

from impl.config import GELU_CUBE, GELU_SLOPES

if TYPE_CHECKING:
    from impl.config import Activation, GPT2Config


def causal_mask(length: object, dtype: DType, device: object) -> Tensor:
    """What is added to the scores: 0 where key <= query, -inf where the key lies ahead.

    `band_part` keeps the mask visible to the compiler. A mask built by comparing positions can be
    dropped in silence by MAX 26.7 when it fuses attention on a CPU.

    Returns:
        `[S, S]`, rows are queries.
    """
    blocked = F.broadcast_to(F.constant(-math.inf, dtype=dtype, device=device), [length, length])
    return F.band_part(blocked, num_lower=None, num_upper=0, exclude=True)


def attention_dtype(x: Tensor) -> DType:
    """What attention computes in: float32 on a CPU, whatever the activations are held in.

    MAX 26.7 on a CPU keeps the sums of batched products, as both of attention's are, in 16 bits
    where the factors have 16 (`verify/max_bugs/sums_in_16_bits.py`).
    """
    return DType.float32 if x.device.is_host else x.dtype


class GPT2Activation(Module[[Tensor], Tensor]):
    """GELU by its tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    GPT-2s of other people's have other functions (`impl.config.ACTIVATIONS` has the formulas).
    """

    def __init__(self, kind: Activation = "gelu_tanh") -> None:
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "gelu_tanh":
                return F.gelu(x, approximate="tanh")
            case "gelu_fast":
                bent = F.tanh(GELU_SLOPES[self.kind] * (x + GELU_CUBE * x * x * x))
                return 0.5 * x * (1 + bent)
            case "gelu":
                return F.gelu(x, approximate="none")
            case "gelu_quick":
                return F.gelu(x, approximate="quick")
            case "relu":
                return F.relu(x)
            case "silu":
                return F.silu(x)
            case "tanh":
                return F.tanh(x)


class GPT2MLP(Module[[Tensor], Tensor]):
    """Two linear layers with GELU between them, for each position alone."""

    def __init__(self, config: GPT2Config) -> None:
        self.c_fc = Linear(config.n_embd, config.inner_dim)
        self.act = GPT2Activation(config.activation)
        self.c_proj = Linear(config.inner_dim, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.act(self.c_fc(x)))  # [B, S, D] -> [B, S, 4D] -> [B, S, D]


class GPT2Attention(Module[[Tensor], Tensor]):
    """Causal self-attention with one fused projection for query, key and value."""

    def __init__(self, config: GPT2Config, layer: int = 0) -> None:
        self.n_head = config.n_head
        self.head_dim = config.head_dim
        self.divisor = config.attention_divisor(layer)  # sqrt(head_dim) in every published GPT-2
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = Linear(config.n_embd, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        fused = F.cast(self.c_attn(x), attention_dtype(x))  # [B, S, 3D]
        return self.c_proj(F.cast(self.attend(fused), x.dtype))

    def attend(self, fused: Tensor) -> Tensor:
        """Queries, keys and values side by side, [B, S, 3D] -> values mixed, [B, S, D]."""
        query, key, value = map(self.split_heads, F.chunk(fused, 3, axis=-1))  # 3 x [B, H, S, K]
        return self.merge_heads(self.shares(query, key) @ value)

    def shares(self, query: Tensor, key: Tensor) -> Tensor:
        """How much of each value a query takes: rows sum to 1, 2 x [B, H, S, K] -> [B, H, S, S]."""
        scores = query @ key.transpose(-2, -1) / self.divisor
        scores = scores + causal_mask(query.shape[-2], scores.dtype, query.device)
        return F.softmax(scores)

    def split_heads(self, x: Tensor) -> Tensor:
        """[B, S, D] -> [B, H, S, K]."""
        batch, length = x.shape[0], x.shape[1]
        return x.reshape([batch, length, self.n_head, self.head_dim]).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:
        """[B, H, S, K] -> [B, S, D]."""
        batch, length = x.shape[0], x.shape[2]
        return x.transpose(1, 2).reshape([batch, length, self.n_head * self.head_dim])


class GPT2Block(Module[[Tensor], Tensor]):
    """Attention and MLP, each behind a LayerNorm and added to the residual stream."""

    def __init__(self, config: GPT2Config, layer: int = 0) -> None:
        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config, layer)
        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2Model(Module[[Tensor], Tensor]):
    """Token and position embeddings, the stack of blocks, and the last LayerNorm."""

    def __init__(self, config: GPT2Config) -> None:
        self.wte = Embedding(config.vocab_size, dim=config.n_embd)
        self.wpe = Embedding(config.n_positions, dim=config.n_embd)
        self.h = ModuleList(GPT2Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, input_ids: Tensor) -> Tensor:
        length = input_ids.shape[-1]
        positions = F.arange(0, length, dtype=DType.int64, device=input_ids.device).unsqueeze(0)
        x = self.wte(input_ids) + self.wpe(positions)  # [B, S, D] + [1, S, D]
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class GPT2LMHead(Module[[Tensor], Tensor]):
    """Scores of every token of the vocabulary, by a matrix that is usually the embedding itself."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight  # [vocab_size, D]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T  # [B, S, vocab_size]


class GPT2LMHeadModel(Module[[Tensor], Tensor]):
    """The whole model: token ids `[B, S]` (int64) in, logits `[B, S, vocab_size]` out."""

    def __init__(self, config: GPT2Config) -> None:
        self.transformer = GPT2Model(config)
        wte = self.transformer.wte.weight
        self.lm_head = GPT2LMHead(
            wte if config.tie_word_embeddings else Tensor.zeros(list(wte.shape), dtype=wte.dtype)
        )

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.lm_head(self.transformer(input_ids))
