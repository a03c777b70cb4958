"""The work that a workload needs: FLOPs, bytes, and the matrix products it consists of.

L layers, d width, i inner width, V vocabulary, B rows, S new tokens of each, P tokens before them
whose keys and values are kept, m rows of logits; w, a bytes of a weight and of a cached element.

    FLOPs = B [ 2 L (4 d^2 + 2 d i) S + 4 L d S (P + S) + 2 V d m ]
    bytes = w (parameters - positions) + a B 2 L d (P + S) + 4 B V m

FLOPs are those of matrix products, a multiplication and an addition counted as two; with i = 4 d
the first term is 24 L d^2 S. A causal model needs only the lower triangle of the scores, so the
least is S P + S (S + 1) / 2 in place of S (P + S) in the second term. Bytes are the least that must
move: every weight once (the position table is only looked up), the cache read and written once, the
logits written in float32. Activations may stay in caches, and are not counted. A forward pass keeps
nothing, so its cache's term is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.workload.workload import Workload
    from impl.config import GPT2Config

ELEMENT_BYTES = {
    "float32": 4, "bfloat16": 2, "bfloat16-products": 2, "bfloat16-cache": 2, "float16": 2,
    "int8": 1,
}  # fmt: skip
LOGIT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Work:
    """What one call amounts to.

    Attributes:
        flops: the least that the model needs.
        flops_executed: what is computed, upper triangles and, without a cache, repetitions too.
        bytes: the least that must be read and written.
        passes: times through the model.
    """

    flops: float
    flops_executed: float
    bytes: float
    passes: int


@dataclass(frozen=True, slots=True)
class Product:
    """`count` matrix products `[m, k] x [k, n]`, with weights as the right side."""

    m: int
    k: int
    n: int
    count: int

    @property
    def flops(self) -> float:
        """Of all of them."""
        return 2.0 * self.m * self.k * self.n * self.count


def work(
    config: GPT2Config,
    workload: Workload,
    dtype: str,
    *,
    kv_cache: bool = True,
    kv_dtype: str = "",
    weight_bits: float | None = None,
) -> Work:
    """The work of what is timed in one call of a workload.

    Args:
        config: the model's sizes.
        workload: what is timed.
        dtype: of the weights.
        kv_cache: whether generation keeps keys and values.
        kv_dtype: of these; empty where it is that of the weights.
        weight_bits: that each weight takes, where it is fewer than the dtype has.
    """
    kept_bytes = ELEMENT_BYTES[kv_dtype or dtype]
    weights = weight_bytes(config, dtype, weight_bits)
    if not workload.n_gen:
        rows = workload.n_prompt if workload.logits == "all" else 1
        return _one_pass(config, workload.batch, workload.n_prompt, 0, rows, weights, kept_bytes)
    steps = [
        _step(config, workload.batch, workload.prompt_length + done, weights, kept_bytes, kv_cache)
        for done in range(workload.n_gen)
    ]
    return Work(
        sum(step.flops for step in steps),
        sum(step.flops_executed for step in steps),
        sum(step.bytes for step in steps),
        len(steps),
    )


def forward_flops(config: GPT2Config, batch: int, new: int, past: int, rows: int) -> float:
    """FLOPs of a pass in which every score is computed, the upper triangle too."""
    return batch * (_linear(config, new, rows) + _attention(config, new * (past + new)))


def causal_flops(config: GPT2Config, batch: int, new: int, past: int, rows: int) -> float:
    """FLOPs of a pass that computes no score which the mask removes."""
    scores = new * past + new * (new + 1) / 2
    return batch * (_linear(config, new, rows) + _attention(config, scores))


def weight_bytes(config: GPT2Config, dtype: str, bits: float | None = None) -> float:
    """What every pass must read: all parameters but the table of positions, in so many bits."""
    table = config.n_positions * config.n_embd
    each = ELEMENT_BYTES[dtype] if bits is None else bits / 8
    return float(each * (config.parameter_count - table))


def products(config: GPT2Config, workload: Workload) -> list[Product]:
    """The products with weights of one pass: a forward pass, or one decode step."""
    d, layers = config.n_embd, config.n_layer
    tokens = workload.batch * (1 if workload.n_gen else workload.n_prompt)
    rows = tokens if workload.logits_policy == "all" else workload.batch
    return [
        Product(tokens, d, 3 * d, layers),
        Product(tokens, d, d, layers),
        Product(tokens, d, config.inner_dim, layers),
        Product(tokens, config.inner_dim, d, layers),
        Product(rows, d, config.vocab_size, 1),
    ]


def _step(
    config: GPT2Config, batch: int, past: int, weights: float, kept_bytes: int, kv_cache: bool
) -> Work:
    """One token of each row, behind `past` others."""
    needed = _one_pass(config, batch, 1, past, 1, weights, kept_bytes)
    if kv_cache:
        return needed
    anew = forward_flops(config, batch, past + 1, 0, 1)
    return Work(needed.flops, anew, needed.bytes, 1)


def _one_pass(
    config: GPT2Config, batch: int, new: int, past: int, rows: int, weights: float, kept_bytes: int
) -> Work:
    kept = 2 * config.n_layer * config.n_embd * (past + new) if past else 0
    moved = kept_bytes * batch * kept + LOGIT_BYTES * batch * config.vocab_size * rows
    return Work(
        causal_flops(config, batch, new, past, rows),
        forward_flops(config, batch, new, past, rows),
        weights + moved,
        1,
    )


def _linear(config: GPT2Config, new: int, rows: int) -> float:
    d = config.n_embd
    block = 4 * d * d + 2 * d * config.inner_dim
    return 2.0 * config.n_layer * block * new + 2.0 * config.vocab_size * d * rows


def _attention(config: GPT2Config, scores: float) -> float:
    """Scores and weighted sum: two products of 2 d FLOPs for each pair of positions."""
    return 4.0 * config.n_layer * config.n_embd * scores
