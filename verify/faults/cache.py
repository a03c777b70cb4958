"""The float64 oracle with a cache of keys and values, and the bugs that such caches have had.

It reads tokens in parts, and the logits of all parts together are those of the whole. A fault is
one method replaced, as in `verify.faults.base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.oracle import Oracle
from reference.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array

LAG = 2
"""Tokens by which each row of an uneven batch is shorter than the one before."""


class CachedOracle(Oracle):
    """An oracle that remembers; it shares the weights of the one it is made from.

    Attributes:
        past: how many tokens it has read.
        cache: keys and values `[B, H, past, K]` by the path of the attention.
    """

    def __init__(self, oracle: Oracle) -> None:
        vars(self).update(vars(oracle))
        self.past = 0
        self.cache: dict[str, tuple[Array, Array]] = {}

    def read(self, ids: Array) -> Array:
        """Logits of further tokens."""
        self.tap = Recorder()
        logits = self.language_model(ids)
        self.past += ids.shape[1]
        return logits

    def positions(self, ids: Array) -> Array:
        """Those after what was read."""
        return self.past + np.arange(ids.shape[1])[None]

    def attend(self, fused: Array, path: str) -> Array:
        """Queries of the new tokens, keys and values of all."""
        query, key, value = map(self.split_heads, np.split(fused, 3, axis=-1))
        keys, values = self.extended(path, key, value)
        scores = self.matmul(query, keys.swapaxes(-1, -2)) * self.scale(path)
        return self.merge_heads(self.matmul(self.softmax(self.masked(scores)), values))

    def extended(self, path: str, key: Array, value: Array) -> tuple[Array, Array]:
        """The cache of one layer, with the new keys and values after the old."""
        if path in self.cache:
            old_keys, old_values = self.cache[path]
            key = np.concatenate([old_keys, key], axis=2)
            value = np.concatenate([old_values, value], axis=2)
        self.cache[path] = key, value
        return key, value

    def masked(self, scores: Array) -> Array:
        """A query sees the keys up to its own position."""
        length, context = scores.shape[-2:]
        ahead = np.triu(np.ones((length, context), bool), k=context - length + 1)
        return np.where(ahead, -np.inf, scores)


def read_in_parts(model: CachedOracle, ids: Array) -> Array:
    """Half of the tokens, then two, then one at a time; logits of every position."""
    half = ids.shape[1] // 2
    cuts = [half, half + 2, *range(half + 3, ids.shape[1])]
    parts = [part for part in np.split(ids, cuts, axis=1) if part.size]
    with np.errstate(all="ignore"):
        return np.concatenate([model.read(part) for part in parts], axis=1)


def lagging_rows(ids: Array) -> Array:
    """Lengths of an uneven batch: each row is `LAG` tokens shorter than the one before."""
    batch, length = ids.shape
    return length - LAG * np.arange(batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFault:
    """A wrong cache.

    Attributes:
        id: its name in tables.
        method: of `CachedOracle`, which is replaced.
        replace: called as `replace(model, original, *arguments)`.
        found: what is computed instead.
        seen_in: where this really happened.
    """

    id: str
    method: str
    replace: Callable[..., Any]
    found: str
    seen_in: str

    def planted(self, oracle: Oracle) -> CachedOracle:
        """An oracle with this fault."""
        model = CachedOracle(oracle)
        original = getattr(model, self.method)
        setattr(model, self.method, lambda *arguments: self.replace(model, original, *arguments))
        return model


def _stale(
    model: CachedOracle, original: Callable[..., Any], path: str, key: Array, value: Array
) -> Any:
    """The newest token's slots are read before they are written: they hold the first token's."""
    keys, values = original(path, key, value)
    if not model.past:
        return keys, values
    stale = [np.concatenate([x[:, :, :-1], x[:, :, :1]], axis=2) for x in (keys, values)]
    return stale[0], stale[1]


def _off_by_one(
    model: CachedOracle, original: Callable[..., Any], path: str, key: Array, value: Array
) -> Any:
    """New tokens overwrite the last slot in use."""
    if path in model.cache:
        model.cache[path] = tuple(x[:, :, :-1] for x in model.cache[path])  # type: ignore[assignment]
    return original(path, key, value)


def _layer_swapped(
    model: CachedOracle, original: Callable[..., Any], path: str, key: Array, value: Array
) -> Any:
    """The middle layer continues with the keys and values of the first."""
    first, middle = (f"transformer.h.{n}.attn" for n in (0, model.config.n_layer // 2))
    if path != middle or path not in model.cache:
        return original(path, key, value)
    mine, past = model.cache[middle], model.past
    model.cache[middle] = tuple(x[:, :, :past] for x in model.cache[first])  # type: ignore[assignment]
    keys, values = original(path, key, value)
    new = [np.concatenate([old, x], axis=2) for old, x in zip(mine, (key, value), strict=True)]
    model.cache[middle] = new[0], new[1]
    return keys, values


def _mask_wrong_slice(_: CachedOracle, __: Callable[..., Any], scores: Array) -> Any:
    """The mask's first rows are taken, as if nothing had been read before."""
    length, context = scores.shape[-2:]
    ahead = np.triu(np.ones((length, context), bool), k=1)
    return np.where(ahead, -np.inf, scores)


def _pos_restart(_: CachedOracle, __: Callable[..., Any], ids: Array) -> Any:
    """Positions count from 0 in every call."""
    return np.arange(ids.shape[1])[None]


def _pos_ignores_padding(model: CachedOracle, original: Callable[..., Any], ids: Array) -> Any:
    """Shorter rows are padded on the left, and the padding is counted."""
    padding = LAG * np.arange(len(ids))[:, None]
    return np.minimum(original(ids) + padding, model.config.n_positions - 1)


FAULTS = (
    CacheFault(
        id="cache_stale",
        method="extended",
        replace=_stale,
        found="the newest slot is read before it is written",
        seen_in="LLMs-from-scratch#1048",
    ),
    CacheFault(
        id="cache_off_by_one",
        method="extended",
        replace=_off_by_one,
        found="new keys and values overwrite the last slot in use",
        seen_in="mlx-lm#93",
    ),
    CacheFault(
        id="cache_layer_swapped",
        method="extended",
        replace=_layer_swapped,
        found="one layer reads another layer's cache",
        seen_in="synthetic",
    ),
    CacheFault(
        id="mask_wrong_slice_with_cache",
        method="masked",
        replace=_mask_wrong_slice,
        found="the mask's rows are those of position 0",
        seen_in="transformers#17306, TransformerLens#366",
    ),
    CacheFault(
        id="pos_restart_in_decode",
        method="positions",
        replace=_pos_restart,
        found="positions begin at 0 in every call",
        seen_in="mlx-lm#93, transformers#3021",
    ),
    CacheFault(
        id="pos_ignores_left_pad",
        method="positions",
        replace=_pos_ignores_padding,
        found="padding on the left is counted as positions",
        seen_in="transformers#7552, #18388",
    ),
)
