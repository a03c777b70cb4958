"""RMSNorm of queries, and of keys and values where they are kept: x / sqrt(mean(x^2) + eps) weight.

Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", equation 4. The weight is that of
the graph plus an offset, 1 in the family of Gemma. Weights as long as a head norm each head, longer
ones all heads of a token together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.errors import UnknownOperationError
from verify.graph.operations.ragged import KEY, VALUE, Ragged
from verify.graph.operations.registry import custom

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.operations.buffers import Cell
    from verify.graph.scope import Scope

NORMED = ("epsilon", "weight_offset", "multiply_before_cast", "per_head_norm")
"""Parameters of the norms in the cache. The first two are rounded to float32 by MAX; in float64
they count as they were written, as far as the graph was staged under `adapter.noting`."""


def normed(
    array: Array, weight: Array, epsilon: float, between: np.dtype[Any] | None = None
) -> Array:
    """RMSNorm along the last axis.

    Args:
        array: `[..., features]`.
        weight: `[features]`, the offset added.
        epsilon: added to the mean of squares.
        between: what the quotient is rounded to before it is multiplied; None for not at all.
    """
    quotient = array / np.sqrt(np.mean(array * array, axis=-1, keepdims=True) + epsilon)
    if between is not None:
        quotient = quotient.astype(between).astype(array.dtype)
    return np.asarray(quotient * weight)


@custom("mo.rms_norm_kv_cache.ragged.paged", parameters=NORMED)
def norm_keys(
    scope: Scope, cell: Cell, stride: Array, cached: Array, pages: Array, longest: Array,
    cache_longest: Array, weight: Array, layer: Array, tokens: Array, offsets: Array, chain: Any,
) -> None:  # fmt: skip
    """Norm the keys of this pass in the cache.

    Args:
        scope: its parameters, see `NORMED`: `per_head_norm` tells whether each head is normed, or
            all heads of a token together; `multiply_before_cast` whether the quotient is multiplied
            before it is rounded, which changes nothing in float64.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        weight: `[features]`, or `[kv heads * features]`.
        layer: whose cache it is.
        tokens: how many there are.
        offsets: of the requests.
        chain: orders writes.

    Raises:
        UnknownOperationError: for a weight that is as long as a part of what is normed.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    _norm_in_cache(scope["parameters"], ragged, KEY, weight)


@custom("mo.rms_norm_value_cache.ragged.paged", parameters=NORMED)
def norm_values(
    scope: Scope, cell: Cell, stride: Array, cached: Array, pages: Array, longest: Array,
    cache_longest: Array, weight: Array, layer: Array, tokens: Array, offsets: Array, chain: Any,
) -> None:  # fmt: skip
    """Norm the values of this pass in the cache, as `norm_keys` does with keys."""
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    _norm_in_cache(scope["parameters"], ragged, VALUE, weight)


def _norm_in_cache(parameters: dict[str, Any], ragged: Ragged, part: int, weight: Array) -> None:
    array = ragged.new(part)
    each = array if parameters["per_head_norm"] else array.reshape(len(array), -1)
    if each.shape[-1] != len(weight):
        raise UnknownOperationError(
            f"an RMSNorm of {len(weight)} of {each.shape[-1]} features in the cache is not known "
            "here"
        )
    between = None if parameters["multiply_before_cast"] else ragged.blocks.dtype
    whole = weight + float(parameters["weight_offset"])
    found = normed(each, whole, float(parameters["epsilon"]), between)
    ragged.store(part, found.reshape(array.shape))


def norm_queries_and_keys(
    scope: Scope,
    ragged: Ragged,
    query: Array,
    weights: tuple[Array, Array],
    epsilon: Array,
    offset: Array,
) -> Array:
    """Norm each head of the keys of this pass in the cache; the normed queries.

    Args:
        scope: its parameter `multiply_before_cast`, see `norm_keys`.
        ragged: the batch and its cache, which is written to.
        query: `[tokens, heads, features]`.
        weights: of queries and of keys, `[features]`.
        epsilon: added to the mean of squares.
        offset: added to the weights.
    """
    early = scope["parameters"]["multiply_before_cast"]
    of_query, of_key = (weight + float(offset) for weight in weights)
    between = None if early else ragged.blocks.dtype
    ragged.store(KEY, normed(ragged.new(KEY), of_key, float(epsilon), between))
    return normed(query, of_query, float(epsilon), None if early else scope.dtype())


@custom("mo.fused_qk_rms_norm.ragged.paged", parameters=("multiply_before_cast",))
def norm_with_cache(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, query_weight: Array, key_weight: Array,
    epsilon: Array, layer: Array, offset: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Norm each head of the queries, and of the keys of this pass in the cache.

    Args:
        scope: its parameter `multiply_before_cast`, see `norm_keys`.
        query: `[tokens, heads, features]`.
        offsets: of the requests.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        query_weight: `[features]`.
        key_weight: `[features]`.
        epsilon: added to the mean of squares.
        layer: whose cache it is.
        offset: added to the weights.
        chain: orders writes.

    Returns:
        Queries `[tokens, heads, features]`.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    weights = query_weight, key_weight
    return norm_queries_and_keys(scope, ragged, query, weights, epsilon, offset), None
