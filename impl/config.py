"""GPT-2's configuration, under the field names of Hugging Face's `config.json`."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIVATIONS = ("gelu_new",)
"""The activations that this GPT-2 computes; Hugging Face's `gelu_new` is GELU's tanh form."""

# Options of Hugging Face's GPT-2 that change what is computed, with the only value computed here.
_FIXED_OPTIONS: dict[str, Any] = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


class ConfigError(ValueError):
    """A configuration that is no GPT-2, told in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GPT2Config:
    """The shape of a GPT-2. The defaults are those of `openai-community/gpt2` (124M parameters).

    Raises:
        ConfigError: where a size is not a positive integer or the sizes do not fit together.
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    """Width of the MLP; None means 4 * n_embd."""
    layer_norm_epsilon: float = 1e-5
    activation_function: str = "gelu_new"
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        """Check the sizes, one sentence for each mistake."""
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "inner_dim"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a positive integer, not {value!r}")
        if self.n_embd % self.n_head:
            raise ConfigError(
                f"n_embd ({self.n_embd}) must be divisible by n_head ({self.n_head}), "
                "because each head takes n_embd / n_head features"
            )
        epsilon = self.layer_norm_epsilon
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
            raise ConfigError(f"layer_norm_epsilon must lie between 0 and 1, not {epsilon!r}")
        if not isinstance(self.tie_word_embeddings, bool):
            raise ConfigError(
                f"tie_word_embeddings must be true or false, not {self.tie_word_embeddings!r}"
            )
        if self.activation_function not in ACTIVATIONS:
            raise ConfigError(
                f"activation_function is {self.activation_function!r}; "
                f"GPT-2 uses {' or '.join(map(repr, ACTIVATIONS))}"
            )

    @property
    def inner_dim(self) -> int:
        """Width of the MLP."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def head_dim(self) -> int:
        """Features of one attention head."""
        return self.n_embd // self.n_head

    @property
    def parameter_count(self) -> int:
        """Number of weights, a tied head counted once."""
        return sum(map(math.prod, parameter_shapes(self).values()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPT2Config:
        """Build from a parsed `config.json`; keys that say nothing about the shape are ignored.

        Raises:
            ConfigError: for a model that is no GPT-2, a missing size, or an option not computed.
        """
        model_type = values.get("model_type", "gpt2")
        if model_type != "gpt2":
            raise ConfigError(f"model_type is {model_type!r}, not 'gpt2'")
        for name, fixed in _FIXED_OPTIONS.items():
            if values.get(name, fixed) != fixed:
                raise ConfigError(f"{name} is {values[name]!r}; only {fixed!r} is supported")
        required = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
        if missing := [name for name in required if name not in values]:
            raise ConfigError(f"config has no {', '.join(missing)}")
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def parameter_shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """Every parameter of a GPT-2 by Hugging Face name, with its shape (Conv1D: `[in, out]`)."""
    d, inner = config.n_embd, config.inner_dim
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (config.vocab_size, d),
        "transformer.wpe.weight": (config.n_positions, d),
    }
    block: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, inner),
        "mlp.c_fc.bias": (inner,),
        "mlp.c_proj.weight": (inner, d),
        "mlp.c_proj.bias": (d,),
    }
    for layer in range(config.n_layer):
        shapes |= {f"transformer.h.{layer}.{name}": shape for name, shape in block.items()}
    shapes |= {"transformer.ln_f.weight": (d,), "transformer.ln_f.bias": (d,)}
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, d)
    return shapes


PRESETS: dict[str, GPT2Config] = {
    "tiny": GPT2Config(vocab_size=1024, n_positions=256, n_embd=128, n_layer=6, n_head=4),
    "distilgpt2": GPT2Config(n_layer=6),
    "gpt2": GPT2Config(),
    "gpt2-medium": GPT2Config(n_embd=1024, n_layer=24, n_head=16),
    "gpt2-large": GPT2Config(n_embd=1280, n_layer=36, n_head=20),
    "gpt2-xl": GPT2Config(n_embd=1600, n_layer=48, n_head=25),
}
"""The published sizes (as in their `config.json` on the hub), and the shipped tiny checkpoint's."""
