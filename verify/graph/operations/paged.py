"""Attention over a paged cache, for ragged batches: custom operations of MAX's text decoders.

How a batch and its cache are laid out stands in `ragged`. The formulas were read in MAX's Python
(`max/nn/kernels.py`) and in Modular's kernels (`nn/mha_mask.mojo`); each is tested against PyTorch
in float64 and against MAX's compiled operation.

MAX's kernels mask a score by -10,000 where the meaning here has none at all. In float64 and in
float32 the weight of such a key is exactly 0 either way, unless scores reach thousands.
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

MASKED = ("mask_str", "local_window_size")
"""Parameters of attention."""


@custom("mo.kv_cache.store.paged.ragged", parameters=("key_or_value",))
def store(
    scope: Scope, array: Array, cell: Cell, stride: Array, cached: Array, pages: Array,
    offsets: Array, longest: Array, cache_longest: Array, layer: Array, chain: Any,
) -> None:  # fmt: skip
    """Keep the keys or the values of this pass.

    Args:
        scope: its parameter `key_or_value` is 0 for keys, 1 for values.
        array: `[tokens, kv heads, features]`.
        cell: the cache with the five operands after it, see `ragged`, `offsets` among them.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        offsets: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        layer: whose cache it is.
        chain: orders writes.
    """
    ragged = Ragged(cell.writable(), offsets, cached, pages, int(layer))
    ragged.store(int(scope["parameters"]["key_or_value"]), array)


@custom("mo.mha.ragged.paged", parameters=MASKED)
def attention(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, layer: Array, scale: Array,
    dispatch: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """Attention of this pass's queries over all of a request's keys and values.

    softmax(scale q k^T) v over the keys that `visible` lets a query see. Query head h uses key head
    h // (heads / kv heads).

    Args:
        scope: its parameters `mask_str` and `local_window_size` tell the mask.
        query: `[tokens, heads, features]`.
        offsets: of the requests.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        layer: whose cache it is.
        scale: of the scores.
        dispatch: how a kernel splits its work; it does not change what is computed.
        chain: orders reads.

    Returns:
        `[tokens, heads, features]`.
    """
    ragged = Ragged(cell.load(), offsets, cached, pages, int(layer))
    return _over_cache(query, ragged, scope["parameters"], float(scale)), None


@custom("mo.mha.ragged.paged.sink_weights", parameters=MASKED)
def attention_with_sinks(
    scope: Scope, query: Array, offsets: Array, cell: Cell, stride: Array, cached: Array,
    pages: Array, longest: Array, cache_longest: Array, layer: Array, scale: Array, sinks: Array,
    dispatch: Array, chain: Any,
) -> tuple[Array, None]:  # fmt: skip
    """As `attention`, where each head has one score more in its softmax that no value belongs to.

    exp(scale q k^T) v / (exp(sink) + sum of exp(scale q k^T)): weights may go nowhere. The sink is
    not multiplied by the scale (Xiao et al. 2023, "Efficient Streaming Language Models with
    Attention Sinks"; as a learned score in gpt-oss).

    Args:
        scope: as for `attention`.
        query: `[tokens, heads, features]`.
        offsets: of the requests.
        cell: the cache with the five operands after it, see `ragged`.
        stride: see `ragged`.
        cached: see `ragged`.
        pages: see `ragged`.
        longest: see `ragged`.
        cache_longest: see `ragged`.
        layer: whose cache it is.
        scale: of the scores.
        sinks: `[heads]`.
        dispatch: as for `attention`.
        chain: orders reads.

    Returns:
        `[tokens, heads, features]`.
    """
    ragged = Ragged(cell.load(), offsets, cached, pages, int(layer))
    return _over_cache(query, ragged, scope["parameters"], float(scale), sinks), None


def _over_cache(
    query: Array,
    ragged: Ragged,
    parameters: dict[str, Any],
    scale: float,
    sinks: Array | None = None,
) -> Array:
    """Attention of every request, `[tokens, heads, features]`."""
    result = np.zeros_like(query)
    for own, positions, pages in ragged.requests():
        if not len(positions):
            continue
        past = np.arange(int(positions[-1]) + 1)
        keys, values = (ragged.load(part, pages, past) for part in (KEY, VALUE))
        seen = visible(positions, past, parameters)
        result[own] = attended(query[own], keys, values, seen, scale, sinks)
    return result


def visible(queries: Array, keys: Array, parameters: dict[str, Any]) -> Array:
    """Which keys a query sees, by their positions.

    With w the `local_window_size`, a query at position q sees the keys at positions k

        null                      all of them
        causal                    k <= q; w is not read
        sliding_window_causal     q - w < k <= q: w keys, itself among them
        sliding_window_noncausal  q - w < k: as many before it, and all after it
        chunked_causal            k <= q in the same chunk, k // w = q // w

    Args:
        queries: positions.
        keys: positions.
        parameters: `mask_str` and `local_window_size`.

    Returns:
        bool `[queries, keys]`.

    Raises:
        UnknownOperationError: for a mask that is not known, or a window without a size.
    """
    mask, window = parameters["mask_str"], int(parameters.get("local_window_size", -1))
    distance = queries[:, None] - keys[None]
    match mask:
        case "null":
            return np.ones(distance.shape, bool)
        case "causal":
            return np.asarray(distance >= 0)
    if window < 1:
        raise UnknownOperationError(f"attention with the mask {mask} and a window of {window}")
    match mask:
        case "sliding_window_causal":
            return np.asarray((distance >= 0) & (distance < window))
        case "sliding_window_noncausal":
            return np.asarray(distance < window)
        case "chunked_causal":
            same = queries[:, None] // window == keys[None] // window
            return np.asarray((distance >= 0) & same)
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
        sinks: a score for each head that no value belongs to, `[heads]`; None for none.

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
