"""Attention over a paged cache, for ragged batches: custom operations of MAX's text decoders.

A batch is ragged: the tokens of all requests stand one after the other, those of request b at
`offsets[b]` to `offsets[b + 1]`. Before this pass it has `cached[b]` tokens, so that its i-th token
has the position `cached[b] + i`. Keys and values are kept in pages,

    blocks[page, key or value, layer, token in page, head, feature]

and the token at position p of request b lies in page `table[b, p // size]`, at `p % size`.

The formulas were read in MAX's Python (`max/nn/kernels.py`), and each is tested against PyTorch in
float64 and against MAX's compiled operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.errors import UnknownOperationError
from verify.graph.operations.registry import custom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array
    from verify.graph.operations.buffers import Cell
    from verify.graph.scope import Scope

KEY, VALUE = 0, 1


@dataclass(frozen=True, slots=True)
class Ragged:
    """Which tokens of a batch belong to whom, and where their keys and values lie.

    Attributes:
        offsets: uint32 `[batch + 1]`.
        cached: uint32 `[batch]`, tokens before this pass.
        table: uint32 `[batch, pages]`.
        page: tokens of a page.
    """

    offsets: Array
    cached: Array
    table: Array
    page: int

    def requests(self) -> Iterator[tuple[slice, Array, Array]]:
        """Of each request its tokens, their positions, and its pages."""
        for row, (first, last) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            new = int(last) - int(first)
            positions = int(self.cached[row]) + np.arange(new)
            yield slice(int(first), int(last)), positions, self.table[row]

    def store(self, blocks: Array, layer: int, part: int, array: Array) -> None:
        """Write keys or values of this pass, `[tokens, head, feature]`."""
        for tokens, positions, pages in self.requests():
            at = pages[positions // self.page].astype(np.int64), positions % self.page
            blocks[at[0], part, layer, at[1]] = array[tokens]

    def load(self, blocks: Array, layer: int, part: int, pages: Array, count: int) -> Array:
        """The first `count` keys or values of a request, `[tokens, head, feature]`."""
        positions = np.arange(count)
        at = pages[positions // self.page].astype(np.int64), positions % self.page
        loaded: Array = blocks[at[0], part, layer, at[1]]
        return loaded


def rotated(array: Array, table: Array, *, interleaved: bool) -> Array:
    """Rotary position embedding of the first features of each head; the others stay.

    Features (x, y) of a pair become (x cos - y sin, y cos + x sin). Pairs are neighbours where they
    are interleaved, else the same feature of the first and of the second half (Su et al. 2021,
    "RoFormer", equation 34).

    Args:
        array: `[tokens, head, feature]`.
        table: `[tokens, rotated features]`: cosine and sine of each pair, one after the other.
        interleaved: how features are paired.
    """
    width = table.shape[-1]
    cosine, sine = table[:, None, 0::2], table[:, None, 1::2]
    whole = array.copy()
    turned = whole[..., :width]
    if interleaved:
        x, y = array[..., 0:width:2], array[..., 1:width:2]
        turned[..., 0::2], turned[..., 1::2] = x * cosine - y * sine, y * cosine + x * sine
    else:
        half = width // 2
        x, y = array[..., :half], array[..., half:width]
        turned[..., :half], turned[..., half:] = x * cosine - y * sine, y * cosine + x * sine
    return whole


def positions_of(ragged: Ragged, tokens: int) -> Array:
    """The position of every token of the batch."""
    found = np.zeros(tokens, np.int64)
    for own, positions, _ in ragged.requests():
        found[own] = positions
    return found


@custom("mo.rope_split_store.ragged.paged")
def rope_split_store(
    scope: Scope, qkv: Array, offsets: Array, table: Array, cell: Cell, stride: Array,
    cached: Array, pages: Array, longest: Array, cache_longest: Array, layer: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Split queries, keys and values; rotate queries and keys; store keys and values.

    Args:
        scope: its parameter `interleaved` tells how features are paired.
        qkv: `[tokens, (heads + 2 kv heads) * features]`.
        offsets: of the requests.
        table: `[positions, features]`, as `rotated` takes its rows.
        cell: the cache.
        stride: not needed here.
        cached: tokens before this pass.
        pages: of each request.
        longest: not needed here.
        cache_longest: not needed here.
        layer: whose cache it is.
        chain: orders writes.

    Returns:
        Queries `[tokens, heads * features]`.
    """
    blocks = cell.writable()
    ragged = Ragged(offsets, cached, pages, blocks.shape[3])
    kv_heads, features = blocks.shape[4:]
    held = kv_heads * features
    tokens = len(qkv)
    query, key, value = np.split(qkv, [qkv.shape[1] - 2 * held, qkv.shape[1] - held], axis=1)
    interleaved = bool(scope["parameters"]["interleaved"])
    rows = table[positions_of(ragged, tokens)]
    turned = rotated(query.reshape(tokens, -1, features), rows, interleaved=interleaved)
    keys = rotated(key.reshape(tokens, kv_heads, features), rows, interleaved=interleaved)
    ragged.store(blocks, int(layer), KEY, keys)
    ragged.store(blocks, int(layer), VALUE, value.reshape(tokens, kv_heads, features))
    return turned.reshape(tokens, -1), None


@custom("mo.mha.ragged.paged")
def attention(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, layer: Array, scale: Array,
    dispatch: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Attention of this pass's queries over all of a request's keys and values.

    softmax(scale q k^T + mask) v. The mask lets a query see the keys up to its own position, and
    with a window of w only the last w of them. Query head h uses key head h // (heads / kv heads).

    Args:
        scope: its parameters `mask_str` and `local_window_size` tell the mask.
        query: `[tokens, heads, features]`.
        offsets: of the requests.
        cell: the cache.
        stride: not needed here.
        cached: tokens before this pass.
        pages: of each request.
        longest: not needed here.
        cache_longest: not needed here.
        layer: whose cache it is.
        scale: of the scores.
        dispatch: not needed here.
        chain: orders reads.

    Returns:
        `[tokens, heads, features]`.
    """
    parameters = scope["parameters"]
    blocks = cell.load()
    ragged = Ragged(offsets, cached, pages, blocks.shape[3])
    result = np.zeros_like(query)
    for own, positions, own_pages in ragged.requests():
        if not len(positions):
            continue
        count = int(positions[-1]) + 1
        keys, values = (
            ragged.load(blocks, int(layer), part, own_pages, count) for part in (KEY, VALUE)
        )
        seen = visible(positions, np.arange(count), parameters)
        result[own] = attended(query[own], keys, values, seen, float(scale))
    return result, None


def visible(queries: Array, keys: Array, parameters: dict[str, Any]) -> Array:
    """Which keys a query sees: bool `[queries, keys]`, by their positions.

    Raises:
        UnknownOperationError: for a mask that is not known.
    """
    mask, window = parameters["mask_str"], int(parameters.get("local_window_size", -1))
    distance = queries[:, None] - keys[None]
    match mask:
        case "causal":
            return np.asarray(distance >= 0)
        case "sliding_window_causal":
            return np.asarray((distance >= 0) & (distance < window))
        case "null":
            return np.ones(distance.shape, bool)
    raise UnknownOperationError(f"attention with the mask {mask}, which is not known here")


def attended(
    query: Array, keys: Array, values: Array, seen: Array, scale: float, sinks: Array | None = None
) -> Array:
    """Attention of one request.

    Args:
        query: `[queries, heads, features]`.
        keys: `[keys, kv heads, features]`.
        values: likewise.
        seen: bool `[queries, keys]`.
        scale: of the scores.
        sinks: a score for each head that no value belongs to; None for none.

    Returns:
        `[queries, heads, features]`.
    """
    group = query.shape[1] // keys.shape[1]
    keys, values = (np.repeat(each, group, axis=1) for each in (keys, values))
    scores = np.einsum("qhd,khd->hqk", query, keys) * scale
    scores = np.where(seen[None], scores, -np.inf)
    if sinks is not None:
        column = np.broadcast_to(sinks[:, None, None], (*scores.shape[:2], 1))
        scores = np.concatenate([scores, column], axis=-1)
    scores = scores - scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.asarray(np.einsum("hqk,khd->qhd", weights[..., : len(keys)], values))
