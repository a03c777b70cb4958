"""Rotary position embeddings, of ragged batches and of keys in a paged cache.

Features (x, y) of a pair become (x cos - y sin, y cos + x sin) (Su et al. 2021, "RoFormer",
equation 34). Pairs are neighbours where they are `interleaved`, else the same feature of the first
and of the second half. A table gives cosine and sine of each pair, one after the other, in the row
of each position, in both cases.

A table narrower than a head rotates that many features of it: where pairs are halves the first,
where they are interleaved the last (`nn/fused_qk_rope.mojo` of Modular; `mo.composite.rope.ragged`
says which by an attribute). `mo.rope_split_store` has no such form: its kernel reads a narrower
table across its rows, so that it is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.errors import UnknownOperationError
from verify.graph.operations.ragged import KEY, VALUE, Ragged
from verify.graph.operations.registry import custom, meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.trace import Array
    from verify.graph.operations.buffers import Cell
    from verify.graph.scope import Scope


def rotated(array: Array, table: Array, *, interleaved: bool, last: bool = False) -> Array:
    """Rotary position embedding of the first or the last features of each head; the others stay.

    Args:
        array: `[tokens, head, feature]`.
        table: `[tokens, rotated features]`: cosine and sine of each pair, one after the other.
        interleaved: how features are paired.
        last: whether the last features are rotated.
    """
    width = table.shape[-1]
    start = array.shape[-1] - width if last else 0
    cosine, sine = table[:, None, 0::2], table[:, None, 1::2]
    part, whole = array[..., start : start + width], array.copy()
    turned = whole[..., start : start + width]
    half = width // 2
    first, second = (
        (slice(0, None, 2), slice(1, None, 2)) if interleaved else (slice(half), slice(half, None))
    )
    x, y = part[..., first], part[..., second]
    turned[..., first], turned[..., second] = x * cosine - y * sine, y * cosine + x * sine
    return whole


def rows(table: Array, identities: Array, section: str = "") -> Array:
    """The rows of a table that tokens are rotated by.

    Args:
        table: `[positions, features]`.
        identities: uint32 `[sections, tokens]`, the position of each token; in several sections
            where images have several axes.
        section: where each section of features ends, "16_40_64" (Qwen2-VL's "M-RoPE"); empty for
            the first section alone.

    Returns:
        `[tokens, features]`.
    """
    if not section:
        return np.asarray(table[identities[0].astype(np.int64)])
    ends = [int(end) for end in section.split("_")]
    feature = np.arange(table.shape[1])
    which = np.array([_section(int(at), ends) for at in feature])
    return np.asarray(table[identities.astype(np.int64)[which].T, feature])


def _section(feature: int, ends: Sequence[int]) -> int:
    """The first section that ends after a feature; the first of all if none does."""
    return next((at for at, end in enumerate(ends) if feature < end), 0)


# ---- split, rotate and store -------------------------------------------------------------------


@custom("mo.rope_split_store.ragged.paged", parameters=("interleaved",))
def rope_split_store(
    scope: Scope, qkv: Array, offsets: Array, table: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, layer: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Split queries, keys and values; rotate queries and keys; store keys and values.

    Args:
        scope: its parameter `interleaved` tells how features are paired.
        qkv: `[tokens, (heads + 2 kv heads) * features]`.
        offsets: of the requests.
        table: `[positions, features]`.
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

    Raises:
        UnknownOperationError: for a table of another width than a head.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    query, key, value = _split(qkv, ragged, table)
    own = table[ragged.positions()]
    return _rotated_and_stored(scope, ragged, own, query, key, value), None


@custom(
    "mo.rope_split_store.ragged.paged.with_position_id",
    parameters=("interleaved", "mrope_section"),
)
def rope_split_store_by_identity(
    scope: Scope, qkv: Array, offsets: Array, table: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, identities: Array,
    layer: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """As `rope_split_store`, rotated by positions that are given; stored where tokens stand.

    Args:
        scope: its parameters `interleaved` and `mrope_section`, see `rows`.
        qkv: `[tokens, (heads + 2 kv heads) * features]`.
        offsets: of the requests.
        table: `[positions, features]`.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        identities: uint32 `[sections, tokens]`.
        layer: whose cache it is.
        chain: orders writes.

    Returns:
        Queries `[tokens, heads * features]`.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    query, key, value = _split(qkv, ragged, table)
    own = rows(table, identities, scope["parameters"].get("mrope_section", ""))
    return _rotated_and_stored(scope, ragged, own, query, key, value), None


def _split(qkv: Array, ragged: Ragged, table: Array) -> tuple[Array, Array, Array]:
    """Queries, keys and values, each `[tokens, heads, features]`."""
    heads, features = ragged.heads
    if table.shape[1] != features:
        raise UnknownOperationError(
            f"mo.rope_split_store by a table of {table.shape[1]} features for heads of {features}: "
            "MAX reads such a table across its rows"
        )
    each = qkv.reshape(len(qkv), -1, features)
    queries = each.shape[1] - 2 * heads
    query, key, value = np.split(each, [queries, queries + heads], axis=1)
    return query, key, value


def _rotated_and_stored(
    scope: Scope, ragged: Ragged, table: Array, query: Array, key: Array, value: Array
) -> Array:
    """Keep keys, rotated, and values; the rotated queries, `[tokens, heads * features]`."""
    interleaved = bool(scope["parameters"]["interleaved"])
    ragged.store(KEY, rotated(key, table, interleaved=interleaved))
    ragged.store(VALUE, value)
    return rotated(query, table, interleaved=interleaved).reshape(len(query), -1)


# ---- rotate queries, and keys where they are kept ----------------------------------------------


@custom("mo.fused_qk_rope.ragged.paged", parameters=("interleaved", "cache_dtype"))
def rope_with_cache(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, table: Array, layer: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Rotate queries, and the keys of this pass in the cache.

    Args:
        scope: its parameter `interleaved` tells how features are paired.
        query: `[tokens, heads, features]`.
        offsets: of the requests.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        table: `[positions, features]`, or as many as are rotated.
        layer: whose cache it is.
        chain: orders writes.

    Returns:
        Queries `[tokens, heads, features]`.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    return rotated_in_cache(scope, ragged, query, table[ragged.positions()]), None


@custom(
    "mo.fused_qk_rope.ragged.paged.with_position_id",
    parameters=("interleaved", "cache_dtype", "mrope_section"),
)
def rope_with_cache_by_identity(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, table: Array, identities: Array,
    layer: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """As `rope_with_cache`, by positions that are given.

    Args:
        scope: its parameters `interleaved` and `mrope_section`, see `rows`.
        query: `[tokens, heads, features]`.
        offsets: of the requests.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        table: `[positions, features]`, or as many as are rotated.
        identities: uint32 `[sections, tokens]`.
        layer: whose cache it is.
        chain: orders writes.

    Returns:
        Queries `[tokens, heads, features]`.

    Raises:
        UnknownOperationError: for sections of a table that is narrower than a head.
    """
    section = scope["parameters"].get("mrope_section", "")
    if section and table.shape[1] != query.shape[2]:
        raise UnknownOperationError(
            "mo.fused_qk_rope by sections of a table narrower than a head is not known here"
        )
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    return rotated_in_cache(scope, ragged, query, rows(table, identities, section)), None


def rotated_in_cache(scope: Scope, ragged: Ragged, query: Array, table: Array) -> Array:
    """Rotate the keys of this pass where they are kept; the rotated queries.

    Args:
        scope: its parameter `interleaved` tells how features are paired.
        ragged: the batch and its cache, which is written to.
        query: `[tokens, heads, features]`.
        table: the row of each token.

    Raises:
        UnknownOperationError: for queries of other features than keys.
    """
    if query.shape[2] != ragged.heads[1]:
        raise UnknownOperationError(
            f"mo.fused_qk_rope of queries with {query.shape[2]} features and keys with "
            f"{ragged.heads[1]} is not known here"
        )
    interleaved = bool(scope["parameters"]["interleaved"])
    keys = rotated(ragged.new(KEY), table, interleaved=interleaved, last=interleaved)
    ragged.store(KEY, keys)
    return rotated(query, table, interleaved=interleaved, last=interleaved)


# ---- rotate ragged arrays ----------------------------------------------------------------------


@meaning("mo.composite.rope.ragged")
def rope_ragged(scope: Scope, array: Array, offsets: Array, cached: Array, table: Array) -> Array:
    """Rotate a ragged array.

    Args:
        scope: its attributes: `interleaved`, and `rope_first`, whether a table narrower than a head
            rotates the first features of it, not the last.
        array: `[tokens, heads, features]`.
        offsets: uint32 `[batch + 1]`, the tokens of each request.
        cached: uint32 `[batch]`, the position of its first token.
        table: `[positions, features]`, or as many as are rotated.
    """
    begins = offsets.astype(np.int64)
    shift = cached.astype(np.int64) - begins[:-1]
    own = table[np.arange(len(array)) + np.repeat(shift, begins[1:] - begins[:-1])]
    return rotated(array, own, interleaved=bool(scope["interleaved"]), last=not scope["rope_first"])


@custom("mo.rope.ragged.with_position_id", parameters=("interleaved",))
def rope_by_identity(
    scope: Scope, array: Array, offsets: Array, cached: Array, table: Array, identities: Array
) -> Array:
    """Rotate a ragged array by positions that are given.

    Args:
        scope: its parameter `interleaved` tells how features are paired.
        array: `[tokens, heads, features]`.
        offsets: not needed here.
        cached: not needed here.
        table: `[positions, features]`.
        identities: uint32 `[1, tokens]`.

    Raises:
        UnknownOperationError: for a table narrower than a head.
    """
    if table.shape[1] != array.shape[2]:
        raise UnknownOperationError(
            "mo.rope.ragged.with_position_id by a table narrower than a head is not known here"
        )
    own = rows(table, identities)
    return rotated(array, own, interleaved=bool(scope["parameters"]["interleaved"]))
