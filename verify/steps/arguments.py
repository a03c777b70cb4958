"""What a learner's class or function is called with, where it takes more than the step says.

Modular's book has `GPT2MLP(intermediate_size, config)`, and a causal mask for tokens that a cache
holds. Arguments are told by their names.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from impl.config import GPT2Config

REQUIRED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def sizes(config: GPT2Config) -> dict[str, Any]:
    """By the names that people give to them, a configuration and its sizes."""
    groups: dict[Any, str] = {
        4 * config.n_embd: "intermediate_size inner_dim n_inner inner_size hidden_features d_ff",
        config.n_embd: "n_embd dim embed_dim d_model hidden_size",
        config.layer_norm_epsilon: "layer_norm_epsilon",
    }
    named = {name: value for value, names in groups.items() for name in names.split()}
    return {**named, "config": config, "cfg": config}


def of_mask(length: Any, dtype: Any, device: Any) -> dict[str, Any]:
    """By name, what a causal mask is made of; nothing is held in a cache."""
    lengths = dict.fromkeys(("length", "sequence_length", "seq_length", "seq_len"), length)
    held = dict.fromkeys(("num_tokens", "past", "past_length", "offset"), 0)
    return {**lengths, **held, "dtype": dtype, "device": device}


def by_name(factory: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that a class or function needs; None where one of them is not known.

    Args:
        factory: it.
        known: values by name.
    """
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        return None
    needed = [p.name for p in parameters if p.kind in REQUIRED and p.default is p.empty]
    positional = any(p.kind is p.POSITIONAL_ONLY and p.default is p.empty for p in parameters)
    if positional or not needed or not all(name in known for name in needed):
        return None
    return {name: known[name] for name in needed}
