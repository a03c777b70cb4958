"""Names of taps, read in one place.

A tap is a place in the model, under Hugging Face's own module path; `reference.trace` has more.

    transformer.h.3.mlp.act        what the activation of block 3 returns
    transformer.h.3.mlp.act:input  what it is called with
    model.layers.3.mlp             a decoder of another architecture

The first number in a path is its block's.
"""

from __future__ import annotations

import re

INPUT = ":input"
"""Ends the name of a tap that holds what a module is called with."""

LOGITS = "lm_head"
"""The tap of the logits."""

OUTPUT = "(logits)"
"""The tap of what a model returns where that is not what its head returns: logits that are scaled
or capped afterwards."""

ROOT = "transformer."
"""What people need not read: nearly every path of a GPT-2 begins with it."""

_BLOCK = re.compile(r"(?:[^.:]+\.)+?(\d+)(?=[.:]|$)")


def is_input(tap: str) -> bool:
    """Whether a tap holds what its module is called with."""
    return tap.endswith(INPUT)


def module_of(tap: str) -> str:
    """The path of the module that a tap belongs to."""
    return tap.removesuffix(INPUT)


def block_of(tap: str) -> str:
    """The path of the block that a tap is in: `transformer.h.3`; "" outside blocks."""
    found = _BLOCK.match(tap)
    return found[0] if found else ""


def layer_of(tap: str) -> int | None:
    """The number of the block that a tap is in; None outside blocks."""
    found = _BLOCK.match(tap)
    return int(found[1]) if found else None


def with_layer(tap: str, layer: int | str) -> str:
    """The same place in another block: `h.n.mlp` of `h.3.mlp` and "n"."""
    found = _BLOCK.match(tap)
    return f"{tap[: found.start(1)]}{layer}{tap[found.end(1) :]}" if found else tap


def short_name(tap: str | None) -> str:
    """For tables: `h.0.attn.c_proj ←`, where the arrow marks what a module is given."""
    name = tap or ""
    return f"{_without_root(module_of(name))}{' ←' if is_input(name) else ''}"


def in_words(tap: str) -> str:
    """For sentences: `h.0.ln_1`, or `what h.0.ln_1 is given`."""
    name = _without_root(module_of(tap))
    return f"what {name} is given" if is_input(tap) else name


def _without_root(path: str) -> str:
    return path.removeprefix(ROOT)
