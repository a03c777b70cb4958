"""GPT-2's configuration, under the field names of Hugging Face's `config.json`."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Activation = Literal["gelu_tanh", "gelu_fast", "gelu", "gelu_quick", "relu", "silu", "tanh"]
"""What the MLP bends its values by; `ACTIVATIONS` has the formulas."""

ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_fast",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "quick_gelu": "gelu_quick",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
"""Every `activation_function` that is computed here, by transformers' name for it.

    gelu_tanh     0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016
    gelu_fast     the same with 0.7978845608 for sqrt(2/pi), which is 3.6e-12 less
    gelu          0.5 x (1 + erf(x / sqrt(2)))
    gelu_quick    x sigmoid(1.702 x)
    relu          max(x, 0)
    silu          x sigmoid(x)
    tanh          tanh(x)
"""

GELU_CUBE = 0.044715
GELU_SLOPES: dict[str, float] = {
    "gelu_tanh": math.sqrt(2 / math.pi),
    "gelu_fast": 0.7978845608,
}
"""sqrt(2/pi), exact, and with the ten digits that transformers' `gelu_fast` has."""

ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
"""Other names of sizes, which transformers reads as well (`GPT2Config.attribute_map`)."""


class ConfigError(ValueError):
    """A configuration that is not of a GPT-2, in one sentence."""


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
    scale_attn_weights: bool = True
    """Whether scores are divided by sqrt(head_dim)."""
    scale_attn_by_inverse_layer_idx: bool = False
    """Whether those of block i, counted from 0, are divided by i + 1 too."""

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
        _check_epsilon(self.layer_norm_epsilon)
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.activation_function not in ACTIVATIONS:
            raise ConfigError(
                f"activation_function is {self.activation_function!r}, which is not computed here; "
                f"these are: {', '.join(ACTIVATIONS)}"
            )

    @property
    def activation(self) -> Activation:
        """What `activation_function` computes."""
        return ACTIVATIONS[self.activation_function]

    def attention_divisor(self, layer: int) -> float:
        """What the scores of a block are divided by: sqrt(head_dim), unless an option changes it.

        Args:
            layer: the block, counted from 0.
        """
        root = math.sqrt(self.head_dim) if self.scale_attn_weights else 1.0
        return root * (layer + 1) if self.scale_attn_by_inverse_layer_idx else root

    @property
    def is_published_gpt2(self) -> bool:
        """Whether it computes what OpenAI's GPT-2s compute: `gelu_new`, scores / sqrt(head_dim)."""
        plain = self.scale_attn_weights and not self.scale_attn_by_inverse_layer_idx
        return plain and self.activation == "gelu_tanh"

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
        """Build from a parsed `config.json`; keys that change nothing that is computed are ignored.

        Sizes are read under both of their names (`ALIASES`), as transformers reads them, but none
        has a default. `n_ctx`, which transformers ignores, stands for a missing `n_positions`.

        Raises:
            ConfigError: for a model that is not a GPT-2, a missing size, or an option that is not
                computed here.
        """
        model_type = values.get("model_type", "gpt2")
        if model_type != "gpt2":
            raise ConfigError(f"model_type is {model_type!r}, not 'gpt2'")
        if values.get("add_cross_attention"):
            raise ConfigError(
                "add_cross_attention is true: it attends to an encoder, which GPT-2 lacks"
            )
        named = _under_one_name(values)
        required = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
        if missing := [name for name in required if name not in named]:
            raise ConfigError(f"config has no {', '.join(missing)}")
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in named.items() if name in known})


SWITCHES = ("tie_word_embeddings", "scale_attn_weights", "scale_attn_by_inverse_layer_idx")
"""Fields that are true or false."""


def _check_epsilon(epsilon: Any) -> None:
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        string = ", a string" if isinstance(epsilon, str) else ""
        raise ConfigError(f"layer_norm_epsilon must lie between 0 and 1, not {epsilon!r}{string}")


def _under_one_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every key of a `config.json`, sizes under GPT-2's own names."""
    named = dict(values)
    for alias, name in ALIASES.items():
        if alias not in values:
            continue
        if values.get(name, values[alias]) != values[alias]:
            raise ConfigError(f"{alias} is {values[alias]!r} and {name} is {values[name]!r}")
        named[name] = values[alias]
    if "n_ctx" in values and "n_positions" not in named:
        named["n_positions"] = values["n_ctx"]
    return named


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
