"""What a configuration makes of the catalogue: which faults there are, and what is right instead.

OpenAI's GPT-2s bend by GELU's tanh form and divide scores by sqrt(head_dim). Other people's GPT-2s
have other functions and scales: what is a fault of one is right in the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from impl.config import GPT2Config

GELU = "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))"

FORMULAS = {
    "gelu_tanh": GELU,
    "gelu_fast": "0.5 x (1 + tanh(0.7978845608 (x + 0.044715 x^3)))",
    "gelu": "0.5 x (1 + erf(x / sqrt(2)))",
    "gelu_quick": "x sigmoid(1.702 x)",
    "relu": "max(x, 0)",
    "silu": "x sigmoid(x)",
    "tanh": "tanh(x)",
}
"""Activations of `impl.config.ACTIVATIONS`, as people read them."""

DIVIDED = "scores divided by sqrt(head_dim)"
SCALE_VALUE = "1/sqrt(head_dim) = "


def bends_by(*kinds: str) -> Callable[[GPT2Config], bool]:
    """Whether a configuration's activation is one of these: for `Fault.of`."""
    return lambda config: config.activation in kinds


def bends_by_other_than(*kinds: str) -> Callable[[GPT2Config], bool]:
    """Whether a configuration's activation is none of these: for `Fault.of`."""
    return lambda config: config.activation not in kinds


def every(config: GPT2Config) -> bool:  # noqa: ARG001 - what all of `Fault.of` are called with
    """Any configuration."""
    return True


def expected_by(config: GPT2Config, text: str) -> str:
    """What is right, in the words of the catalogue, as it is under this configuration.

    Args:
        config: of the model.
        text: a fault's `expected`, written for OpenAI's GPT-2s.
    """
    if config.is_published_gpt2 and config.activation_function == "gelu_new":
        return text
    formula = FORMULAS[config.activation]
    if text.startswith(GELU):
        return f'{formula} ("{config.activation_function}")'
    return text.replace(DIVIDED, divided_by(config)).replace(SCALE_VALUE, "")


def divided_by(config: GPT2Config) -> str:
    """What scores are divided by, in words."""
    root = "sqrt(head_dim)" if config.scale_attn_weights else ""
    layer = "(layer + 1)" if config.scale_attn_by_inverse_layer_idx else ""
    both = " ".join(part for part in (root, layer) if part)
    return f"scores divided by {both}" if both else "scores as they are, divided by nothing"


def whose(config: GPT2Config) -> str:
    """Whose mathematics it is that a fault departs from."""
    return "GPT-2" if config.is_published_gpt2 else "this GPT-2"
