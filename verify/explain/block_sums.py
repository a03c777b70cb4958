"""What a sum, or another place's activation, tells of the order of a model's parts.

A block is x = x + attn(ln_1(x)); x + mlp(ln_2(x)). Where something else is added, or read, the
mistake has a name: a residual that is left out, that comes from the normalised copy, post-norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.taps import INPUT, block_of, layer_of, module_of
from verify.explain.closed_forms import same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verify.explain.failure import Failure

EMBEDDINGS = ("transformer.wte", "transformer.wpe")


def told_by_sum(failure: Failure, factors: Mapping[str, float]) -> str:
    """A mistake's name, in brackets; "" where the sum has none.

    Args:
        failure: whose result the sum is.
        factors: by tap, what is added; none of them is 0.
    """
    said = _told(failure.tap, dict(factors))
    return f" ({said})" if said else ""


def told_by_place(failure: Failure, name: str) -> str:
    """The same where a result is what another place holds.

    Args:
        failure: whose result it is.
        name: the other place's tap.
    """
    return told_by_sum(failure, {name: 1.0})


def told_by_norm(failure: Failure, norm: str, of: str) -> str:
    """The same where a result is a LayerNorm of something else.

    Args:
        failure: whose result it is.
        norm: path of the LayerNorm.
        of: in words, what it is applied to.
    """
    block = block_of(failure.tap)
    own = module_of(failure.tap) == norm
    if norm.endswith(of):
        return " (normalised twice)"
    if failure.tap == block and (of == "the right result" or block.endswith(of)):
        return " (a norm after the addition: post-norm; GPT-2 normalises before)"
    if own and block.endswith(of):
        return " (the norm after the addition: post-norm; GPT-2 normalises before)"
    if own and any(f".{part}" in f".{of}" for part in ("attn", "mlp")) and "+" not in of:
        return " (the norm of what the part returns: GPT-2 normalises what it is given)"
    if not own and of == f"what {block.removeprefix('transformer.')}.ln_2 is given":
        return " (ln_1 in the place of ln_2: each has weights of its own)"
    return ""


def _told(tap: str, factors: dict[str, float]) -> str:
    block = block_of(tap)
    if tap == f"transformer.h.0{INPUT}":
        return _of_embeddings(factors)
    if not block or tap == block + INPUT:
        return _of_stack(tap, factors)
    stream = {block + INPUT: 1.0}
    if tap == f"{block}.ln_2{INPUT}":
        return _of_residual(block, f"{block}.attn", stream, factors)
    if tap == block:
        base = stream | {f"{block}.attn": 1.0}
        return _of_residual(block, f"{block}.mlp", base, factors)
    return _of_reading(block, tap, factors)


def _of_residual(block: str, part: str, base: dict[str, float], factors: dict[str, float]) -> str:
    """What is added to the stream after attention, or after the MLP."""
    name = part.rsplit(".", 1)[1]
    rest = {tap: factor for tap, factor in factors.items() if tap != part}
    own = factors.get(part, 0.0)
    norms = {f"{block}.ln_1", f"{block}.ln_2"}
    if factors and all(f"{tap}.".startswith(f"{part}.") for tap in factors):
        return "the residual is left out"
    if rest == {block: 1.0}:
        return "the norm after the last addition: post-norm; GPT-2 normalises before, pre-norm"
    if set(rest) <= norms and same(own, 1):
        return "the residual is the normalised copy: it must be the stream itself, before the norm"
    if _equal(rest, base):
        return _of_part(name, own)
    if same(own, 1) and _equal(rest, {tap: 2 * factor for tap, factor in base.items()}):
        return "the stream is added twice"
    if not own and _equal(rest, {tap: 2 * factor for tap, factor in base.items()}):
        return f"the stream is added to itself: {name} is left out"
    if same(own, 1) and name == "mlp" and _equal(rest, {block + INPUT: 1.0}):
        return "attention's sum is lost: the MLP's result is added to what the block was given"
    if not own and norms & set(rest):
        return (
            f"the normalised copy is added in place of what {name} makes of it: {name} is left out"
        )
    return ""


def _of_part(name: str, factor: float) -> str:
    if not factor:
        return f"{name} is left out, or added elsewhere: both parts read the same stream"
    if same(factor, -1):
        return f"what {name} returns is subtracted"
    return f"{name} is added twice" if same(factor, 2) else f"what {name} returns is scaled"


def _of_reading(block: str, tap: str, factors: dict[str, float]) -> str:
    """What a norm or a part of a block is given."""
    added = [f"{block}.{part}" for part in ("attn", "mlp") if f"{block}.{part}" in factors]
    given = block + INPUT in factors
    if tap == f"{block}.ln_1{INPUT}" and given and added == [f"{block}.attn"]:
        return (
            "ln_1 after the addition, post-norm, or ln_1 and ln_2 exchanged; GPT-2 normalises "
            "before attention, pre-norm"
        )
    if tap in (f"{block}.ln_1{INPUT}", f"{block}.attn{INPUT}") and added == [f"{block}.mlp"]:
        return "the MLP before attention"
    if set(factors) == {f"{block}.ln_2"}:
        return "ln_1 and ln_2 exchanged, or attention after the MLP"
    if set(factors) == {f"{block}.ln_1"}:
        return "ln_1 in the place of ln_2"
    if tap in (f"{block}.attn{INPUT}", f"{block}.mlp{INPUT}") and given:
        return "the norm is left out"
    return ""


def _of_embeddings(factors: dict[str, float]) -> str:
    """What the first block is given."""
    wte, wpe = (factors.get(name, 0.0) for name in EMBEDDINGS)
    if "transformer.ln_f" in factors:
        return "the last norm in front of the blocks"
    if any(layer_of(name) is not None for name in factors):
        return "the blocks in the reverse order"
    if not wte or not wpe:
        return f"the {'token' if not wte else 'position'} embeddings are left out"
    if same(wte, 1):
        return "the position embeddings are added twice" if same(wpe, 2) else "positions are scaled"
    return "token embeddings are scaled, as in the first transformer; GPT-2's are not"


def _of_stack(tap: str, factors: dict[str, float]) -> str:
    """What a later block is given, what the last norm is, and what the model returns."""
    inside = {name for name in factors if name.startswith("transformer.h.")}
    if tap == f"transformer.h.0{INPUT}" or not factors:
        return ""
    if set(factors) == {"transformer.ln_f"} and module_of(tap) != "transformer":
        return "the last norm inside the loop: it belongs after the last block"
    if tap in ("transformer", "transformer.ln_f") and "transformer.ln_f" in factors and inside:
        return "a residual around the last norm"
    if inside and "transformer.wte" in factors:
        return "the embeddings are added again"
    if inside and "transformer.wpe" in factors:
        return "the position embeddings are added in front of each block: once is enough"
    if inside == {f"transformer.h.0{INPUT}"}:
        return "the block reads the embeddings and not what the block before returned"
    if any(layer_of(name) == layer_of(tap) for name in inside) and layer_of(tap) is not None:
        return "the blocks in another order"
    return ""


def _equal(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
