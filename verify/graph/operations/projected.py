"""Projections whose keys and values go into the cache: x W^T (+ bias), split by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.operations.norms import norm_queries_and_keys
from verify.graph.operations.ragged import KEY, VALUE, Ragged
from verify.graph.operations.registry import custom
from verify.graph.operations.rotary import rotated_in_cache

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.operations.buffers import Cell
    from verify.graph.scope import Scope


@custom("mo.fused_qkv_matmul.ragged.paged", parameters=())
def project(
    scope: Scope, array: Array, offsets: Array, weight: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, layer: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Project to queries, keys and values; keep keys and values.

    Args:
        scope: has no parameters.
        array: `[tokens, hidden]`.
        offsets: of the requests.
        weight: `[(heads + 2 kv heads) * features, hidden]`.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        layer: whose cache it is.
        chain: orders writes.

    Returns:
        Queries `[tokens, heads * features]`.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    return _stored(array @ weight.T, ragged, KEY, VALUE), None


@custom("mo.fused_qkv_matmul.ragged.paged.bias", parameters=())
def project_with_bias(
    scope: Scope, array: Array, offsets: Array, weight: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, layer: Array, bias: Array,
    chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """As `project`, with a bias `[(heads + 2 kv heads) * features]`."""
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    return _stored(array @ weight.T + bias, ragged, KEY, VALUE), None


@custom("mo.kv_matmul.ragged.paged", parameters=())
def project_keys_and_values(
    scope: Scope, array: Array, offsets: Array, weight: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, layer: Array, chain: Any,
) -> None:  # fmt: skip
    """Project to keys and values, and keep both; the weight `[2 kv heads * features, hidden]`."""
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    _stored(array @ weight.T, ragged, KEY, VALUE)


@custom("mo.k_matmul.ragged.paged", parameters=())
def project_keys(
    scope: Scope, array: Array, offsets: Array, weight: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, layer: Array, chain: Any,
) -> None:  # fmt: skip
    """Project to keys, and keep them; the weight is `[kv heads * features, hidden]`."""
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    _stored(array @ weight.T, ragged, KEY)


def _stored(array: Array, ragged: Ragged, *parts: int) -> Array:
    """Keep the last columns, those of each part in turn; the columns before them."""
    heads, features = ragged.heads
    first = array.shape[1] - len(parts) * heads * features
    for part, columns in zip(parts, np.split(array[:, first:], len(parts), axis=1), strict=True):
        ragged.store(part, columns.reshape(len(array), heads, features))
    return np.asarray(array[:, :first])


@custom(
    "mo.fused_qk_rms_norm_rope.ragged.paged",
    parameters=("interleaved", "multiply_before_cast", "cache_dtype"),
)
def norm_and_rotate(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, query_weight: Array, key_weight: Array,
    table: Array, epsilon: Array, layer: Array, offset: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Norm, then rotate queries, and the keys of this pass in the cache.

    `norms.norm_with_cache`, then `rotary.rope_with_cache`, whose docstrings tell the operands.

    Returns:
        Queries `[tokens, heads, features]`.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    weights = query_weight, key_weight
    query = norm_queries_and_keys(scope, ragged, query, weights, epsilon, offset)
    return rotated_in_cache(scope, ragged, query, table[ragged.positions()]), None
