"""A GPT-2 in NumPy, in float64, written to be read: the judge of every numerical doubt.

It shares no code with Hugging Face or with MAX, and it doubles as the explanation of each layer.
`path` names a part's place in the model; `call` lets a tap look at what goes in and out of a part.
Shapes are in comments: B batch, S sequence, D n_embd, H heads, K features of a head.

Every elementary computation (`matmul`, `layer_norm`, `softmax`, `gelu`, ...) is a method, so that
another order of evaluation, or a deliberate fault, is a subclass that overrides one of them.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from impl.config import GELU_CUBE, GELU_SLOPES
from reference.taps import INPUT, is_input, layer_of
from reference.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Self

    import numpy.typing as npt

    from reference.checkpoint import Checkpoint
    from reference.trace import Array, Trace


class Oracle:
    """GPT-2 on the weights of a checkpoint.

    Args:
        checkpoint: configuration and weights.
        dtype: what everything is computed in; float64 for the oracle itself.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: npt.DTypeLike = np.float64) -> None:
        self.config = checkpoint.config
        self._hold(checkpoint.weights, dtype)
        self.tap: Callable[[str, Array], Array] = Recorder()
        self._left_out: Mapping[str, Array] = {}

    def _hold(self, weights: Mapping[str, Array], dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.number: Callable[[float], Any] = self.dtype.type
        self.weights: Mapping[str, Array] = {
            name: array.astype(self.dtype, copy=False) for name, array in weights.items()
        }

    def at(self, dtype: npt.DTypeLike) -> Self:
        """The same model, computed in another dtype."""
        other = copy(self)
        other._hold(self.weights, dtype)
        return other

    def trace(self, ids: Array, given: Mapping[str, Array] | None = None) -> Trace:
        """Run on token ids and return every tap.

        Args:
            ids: int64 `[batch, sequence]`.
            given: activations by tap; each replaces what the module there computed.

        Returns:
            The trace; its last tap, `lm_head`, holds the logits `[batch, sequence, vocab_size]`.
        """
        recorder = self.recorder(given)
        self.tap = recorder
        self.language_model(ids)
        return recorder.finish()

    def output_taps(self) -> list[str]:
        """Where stages can be cut: every module's output, in the order of execution."""
        return [tap for tap in self.trace(np.zeros((1, 1), np.int64)) if not is_input(tap)]

    def recorder(self, given: Mapping[str, Array] | None) -> Recorder:
        """What sees every tap of one trace."""
        return Recorder(given)

    def part_trace(
        self,
        path: str,
        x: Array,
        given: Mapping[str, Array] | None = None,
        wanted: Collection[str] | None = None,
    ) -> Trace:
        """Run a block, or a block's attention or MLP, alone, and return its taps.

        Args:
            path: `transformer.h.3`, `transformer.h.3.attn` or `transformer.h.3.mlp`.
            x: what the part is called with, `[batch, sequence, n_embd]`.
            given: as in `trace`, for taps inside the part.
            wanted: the taps that are asked for, None for all. What is given, and holds none of
                them, is not computed.
        """
        given = given or {}
        left_out = {} if wanted is None else without(given, wanted)
        recorder = self.recorder({tap: a for tap, a in given.items() if tap not in left_out})
        self.tap, self._left_out = recorder, left_out
        inside = {"attn": self.attention, "mlp": self.mlp}
        try:
            self.call(path, inside.get(path.rsplit(".", 1)[-1], self.block), x.astype(self.dtype))
        finally:
            self._left_out = {}
        return recorder.finish()

    def call(self, path: str, part: Callable[[Array, str], Array], x: Array) -> Array:
        """Compute one part of the model under the eyes of the taps."""
        x = self.tap(path + INPUT, x)
        if path in self._left_out:
            return self._left_out[path].astype(self.dtype, copy=False)
        return self.tap(path, part(x, path))

    # ---- the model, from the outside in -------------------------------------------------------

    def language_model(self, ids: Array) -> Array:
        """Token ids `[B, S]` to logits `[B, S, vocab_size]`."""
        hidden = self.call("transformer", self.transformer, ids)
        return self.call("lm_head", self.head, hidden)

    def transformer(self, ids: Array, path: str) -> Array:
        """Embed tokens and positions, apply each block in turn, normalise: `[B, S, D]`."""
        positions = self.positions(ids)
        tokens = self.call(f"{path}.wte", self.embedding, ids)
        places = self.call(f"{path}.wpe", self.embedding, positions)
        x = self.add(tokens, places)
        for layer in range(self.config.n_layer):
            x = self.call(f"{path}.h.{layer}", self.block, x)
        return self.call(f"{path}.ln_f", self.layer_norm, x)

    def positions(self, ids: Array) -> Array:
        """0, 1, 2, ... for every token: `[1, S]`."""
        return np.arange(ids.shape[-1])[None]

    def block(self, x: Array, path: str) -> Array:
        """Attention mixes positions, the MLP works on each one; both add to the residual stream."""
        normalised = self.call(f"{path}.ln_1", self.layer_norm, x)
        x = self.add(x, self.call(f"{path}.attn", self.attention, normalised))
        normalised = self.call(f"{path}.ln_2", self.layer_norm, x)
        return self.add(x, self.call(f"{path}.mlp", self.mlp, normalised))

    def attention(self, x: Array, path: str) -> Array:
        """Every position takes a weighted mean of the values at and before it."""
        fused = self.call(f"{path}.c_attn", self.linear, x)  # [B, S, 3D]: query, key, value
        mixed = self.attend(fused, path)  # [B, S, D]
        return self.call(f"{path}.c_proj", self.linear, mixed)

    def attend(self, fused: Array, path: str) -> Array:
        """softmax(query key^T scale + mask) value, by head: `[B, S, 3D]` to `[B, S, D]`."""
        query, key, value = map(self.split_heads, np.split(fused, 3, axis=-1))  # [B, H, S, K]
        scale = self.scale(path)
        scores = self.matmul(query, key.swapaxes(-1, -2)) * scale  # [B, H, S, S]
        probabilities = self.softmax(self.masked(scores))
        return self.merge_heads(self.matmul(probabilities, value))

    def scale(self, path: str) -> Any:
        """1 / sqrt(K), unless the configuration says otherwise for all blocks or for this one."""
        return self.number(1 / self.config.attention_divisor(layer_of(path) or 0))

    def masked(self, scores: Array) -> Array:
        """Scores of keys that lie ahead of their query become -inf, so that they weigh nothing."""
        length = scores.shape[-1]
        ahead = np.triu(np.ones((length, length), bool), k=1)
        return np.where(ahead, self.number(-np.inf), scores)

    def split_heads(self, x: Array) -> Array:
        """`[B, S, D]` to `[B, H, S, K]`."""
        batch, length, _ = x.shape
        heads = x.reshape(batch, length, self.config.n_head, self.config.head_dim)
        return heads.transpose(0, 2, 1, 3)

    def merge_heads(self, x: Array) -> Array:
        """`[B, H, S, K]` to `[B, S, D]`."""
        batch, _, length, _ = x.shape
        return x.transpose(0, 2, 1, 3).reshape(batch, length, self.config.n_embd)

    def mlp(self, x: Array, path: str) -> Array:
        """Widen, bend, narrow."""
        wide = self.call(f"{path}.c_fc", self.linear, x)  # [B, S, 4D]
        bent = self.call(f"{path}.act", self.activation, wide)
        return self.call(f"{path}.c_proj", self.linear, bent)

    # ---- parts that hold weights --------------------------------------------------------------

    def embedding(self, indices: Array, path: str) -> Array:
        """One row of the table for each index."""
        return self.weights[f"{path}.weight"][indices]

    def linear(self, x: Array, path: str) -> Array:
        """X W + b, with W laid out `[in, out]` as in the checkpoint (Conv1D)."""
        return self.matmul(x, self.weights[f"{path}.weight"]) + self.weights[f"{path}.bias"]

    def layer_norm(self, x: Array, path: str) -> Array:
        """(x - mean) / sqrt(variance + epsilon), then scaled and shifted for each feature."""
        return self.normalise(x) * self.weights[f"{path}.weight"] + self.weights[f"{path}.bias"]

    def activation(self, x: Array, path: str) -> Array:  # noqa: ARG002 - faults look at the layer
        """GELU in its tanh form, unless the configuration names another function."""
        match self.config.activation:
            case "gelu_tanh" | "gelu_fast" as form:
                return self.gelu(x, GELU_SLOPES[form])
            case "gelu":
                return self.gelu_erf(x)
            case "gelu_quick":
                return self.silu(x, 1.702)
            case "silu":
                return self.silu(x)
            case "relu":
                return np.maximum(x, self.number(0))
            case "tanh":
                return self.tanh(x)

    def head(self, x: Array, path: str) -> Array:  # noqa: ARG002 - one signature for every part
        """The score of each token is the product with its embedding, where the head is tied."""
        name = "transformer.wte.weight" if self.config.tie_word_embeddings else "lm_head.weight"
        return self.matmul(x, self.weights[name].T)

    # ---- arithmetic: what another order of evaluation overrides --------------------------------

    def add(self, x: Array, y: Array) -> Array:
        """Sum of two activations: embeddings, and every residual connection."""
        return x + y

    def matmul(self, a: Array, b: Array) -> Array:
        """Matrix product over the last two axes; a single one where `b` is one matrix."""
        if b.ndim == 2:
            return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])
        return a @ b

    def normalise(self, x: Array) -> Array:
        """Mean 0 and variance 1 over the last axis; the variance divides by D, not D - 1."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + self.number(self.config.layer_norm_epsilon))

    def softmax(self, scores: Array) -> Array:
        """exp(s) / sum exp(s) over the last axis, less the maximum, so that nothing overflows."""
        weights: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def gelu(self, x: Array, slope: float = GELU_SLOPES["gelu_tanh"]) -> Array:
        """0.5 x (1 + tanh(slope (x + 0.044715 x^3))); the slope is sqrt(2/pi), or its digits."""
        inner = self.number(slope) * (x + self.number(GELU_CUBE) * x * x * x)
        return self.number(0.5) * x * (1 + self.tanh(inner))

    def gelu_erf(self, x: Array) -> Array:
        """0.5 x (1 + erf(x / sqrt(2)))."""
        return self.number(0.5) * x * (1 + self.erf(x * self.number(math.sqrt(0.5))))

    def silu(self, x: Array, slope: float = 1.0) -> Array:
        """X sigmoid(slope x)."""
        return x * self.sigmoid(x if slope == 1.0 else self.number(slope) * x)

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x))."""
        with np.errstate(over="ignore"):  # exp overflows to inf, whose reciprocal is the right 0
            return 1 / (1 + np.exp(-x))

    def erf(self, x: Array) -> Array:
        """The error function."""
        result: Array = special.erf(x)
        return result

    def tanh(self, x: Array) -> Array:
        """The hyperbolic tangent."""
        result: Array = np.tanh(x)
        return result


def without(given: Mapping[str, Array], wanted: Collection[str]) -> dict[str, Array]:
    """Those given that hold nothing of what is wanted; what they are called with lies outside.

    Args:
        given: activations by tap.
        wanted: taps.
    """
    return {
        tap: array
        for tap, array in given.items()
        if not any(name == tap or name.startswith(f"{tap}.") for name in wanted)
    }


def cross_entropy(logits: Array, targets: Array) -> Array:
    """-log softmax(logits)[target], in nats, for each position; computed in float64."""
    wide: npt.NDArray[Any] = logits.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=-1))
    return log_sum - np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
