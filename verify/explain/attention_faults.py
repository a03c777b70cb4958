"""What people compute in place of attention, beyond the faults of the catalogue."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.explain.closed_forms import SCALES, number
from verify.explain.families import Family
from verify.faults.base import Fault
from verify.faults.catalogue import ATTENTION, CORE
from verify.pairing.counterpart import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from impl.config import GPT2Config
    from reference.oracle import Oracle
    from reference.trace import Array
    from verify.explain.failure import Failure

FILLS = tuple(
    map(number, ("-1e4", "-1e9", "-1e5", "-1e10", "-65504", "-1e6", "-1e3", "-100", "-1", "0"))
)
"""What masked scores are set to, or lowered by; -65504 is the least float16."""

CAPS = tuple(map(number, ("50", "30", "20", "10", "100")))

AT_CORE: dict[str, Any] = {"tap": CORE, "within": ATTENTION}
MASK: dict[str, Any] = {**AT_CORE, "method": "masked"}

RIGHT_FILL = "-inf for keys ahead of the query"
RIGHT_SCORES = "scores as they are"
RIGHT_READ = "query, key and value read from c_attn's query, key and value"
RIGHT_REACH = "keys up to the query's own position"
RIGHT_SPLIT = "[B, S, H K] split as [B, S, H, K], then transposed to [B, H, S, K]"


# ---- families ------------------------------------------------------------------------------------


def attend(
    *,
    scores: Callable[[Array], Array] | None = None,
    masked: Callable[[Oracle, Array], Array] | None = None,
    weights: Callable[[Oracle, Array], Array] | None = None,
) -> Callable[..., Array]:
    """Attention with some of its steps replaced.

    Args:
        scores: made of q k^T, in place of the division by sqrt(head_dim).
        masked: made of the scores, in place of the causal mask.
        weights: made of the masked scores, in place of the softmax.
    """

    def replacement(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        query, key, value = map(model.split_heads, np.split(fused, 3, axis=-1))
        raw = query @ key.swapaxes(-1, -2)
        scaled = scores(raw) if scores else raw * model.scale(path)
        hidden = masked(model, scaled) if masked else model.masked(scaled)
        probabilities = weights(model, hidden) if weights else model.softmax(hidden)
        return model.merge_heads(probabilities @ value)

    return replacement


def scaled(value: float) -> Callable[..., Array]:
    """Attention with q k^T times a number."""
    return attend(scores=lambda raw: raw * value)


def ahead(length: int, offset: int = 0) -> Array:
    """Where a key lies more than `offset` ahead of the query: `[length, length]`."""
    return np.triu(np.ones((length, length), bool), k=1 + offset)


def _filled(value: float) -> Callable[..., Array]:
    return lambda model, _, scores: np.where(ahead(scores.shape[-1]), value, scores)


def _lowered(value: float) -> Callable[..., Array]:
    return lambda model, _, scores: scores + np.where(ahead(scores.shape[-1]), value, 0.0)


def _shifted(offset: int) -> Callable[..., Array]:
    """Keys up to `offset` ahead of the query are seen; fewer than its own where it is negative."""
    return lambda model, _, scores: np.where(ahead(scores.shape[-1], offset), -np.inf, scores)


def _windowed(value: float) -> Callable[..., Array]:
    """The last `value` keys are seen, the query's own among them."""

    def masked(model: Oracle, original: Any, scores: Array) -> Array:
        length = scores.shape[-1]
        far = np.tril(np.ones((length, length), bool), k=-int(value))
        return np.where(far, -np.inf, original(scores))

    return masked


def _chunked(value: float) -> Callable[..., Array]:
    """Keys of the query's own chunk of `value` tokens are seen."""

    def masked(model: Oracle, original: Any, scores: Array) -> Array:
        chunk = np.arange(scores.shape[-1]) // int(value)
        return np.where(chunk[:, None] != chunk, -np.inf, original(scores))

    return masked


def _capped(value: float) -> Callable[..., Array]:
    return lambda model, original, scores: original(value * np.tanh(scores / value))


def _clamped(value: float) -> Callable[..., Array]:
    return lambda model, original, scores: original(np.clip(scores, -value, value))


def first_wrong_position(failure: Failure) -> list[float]:
    """The first position at which anything is wrong: a window's width, where a range ends."""
    if not failure.comparable or failure.truth.ndim != 3:
        return []
    error = np.abs(failure.found.astype(np.float64) - failure.truth).max(axis=(0, 2))
    wrong = np.flatnonzero(error > WRONG * np.abs(failure.truth).max(initial=0.0))
    return [float(wrong[0])] if len(wrong) and wrong[0] else []


WRONG = 1e-5
"""Of the largest number: an error that is more than rounding, in float32 too."""

LONGER: dict[str, Any] = {"least_length": 2}
"""A token alone has one score, and its softmax is 1 whatever the score is."""

FAMILIES = (
    Family(
        id="score_scale", method="attend", replace=scaled, forms=SCALES, span=(1e-3, 30.0),
        found="q k^T times {}", expected="q k^T times 1/sqrt(head_dim) = {}",
        right=lambda config, layer: 1 / config.attention_divisor(layer), **LONGER, **AT_CORE,
    ),
    Family(
        id="mask_added", replace=_lowered, forms=FILLS, span=(-0.1, -1e5), **LONGER, **MASK,
        found="{} added to masked scores, which can leave weight on keys ahead",
        expected=RIGHT_FILL,
    ),
    Family(
        id="mask_value", replace=_filled, forms=FILLS, span=(-0.1, -1e5), **LONGER, **MASK,
        found="masked scores set to {}, which can leave weight on keys ahead",
        expected=RIGHT_FILL,
    ),
    Family(
        id="window", replace=_windowed, forms=(), estimate=first_wrong_position, **LONGER, **MASK,
        found="attention to the last {} tokens alone (a window)",
        expected="attention to every token before",
    ),
    Family(
        id="chunks", replace=_chunked, forms=(), estimate=first_wrong_position, **LONGER, **MASK,
        found="attention inside chunks of {} tokens alone",
        expected="attention to every token before",
    ),
    Family(
        id="score_cap", replace=_capped, forms=CAPS, span=(1.0, 1e4), **LONGER, **MASK,
        found="scores capped, c tanh(s / c) with c = {}", expected=RIGHT_SCORES,
    ),
    Family(
        id="score_clamp", replace=_clamped, forms=CAPS, span=(0.3, 1e4), **LONGER, **MASK,
        found="scores clamped to plus and minus {}", expected=RIGHT_SCORES,
    ),
)  # fmt: skip
"""Families of faults in attention."""


# ---- faults without a number ---------------------------------------------------------------------


def _not_split(model: Oracle, original: Any, x: Array) -> Array:
    batch, length, _ = x.shape
    return x.reshape(batch, model.config.n_head, length, model.config.head_dim)


def _viewed(model: Oracle, original: Any, fused: Array, path: str) -> Array:
    parts = np.split(fused, 3, axis=-1)
    query, key, value = (_not_split(model, None, part) for part in parts)
    scores = query @ key.swapaxes(-1, -2) * model.scale(path)
    return (model.softmax(model.masked(scores)) @ value).reshape(parts[0].shape)


def _upside_down(model: Oracle, scores: Array) -> Array:
    return np.where(ahead(scores.shape[-1]).T, -np.inf, scores)


def _plus_one(model: Oracle, scores: Array) -> Array:
    largest = np.maximum(scores.max(axis=-1, keepdims=True), 0)
    weights = np.exp(scores - largest)
    return weights / (weights.sum(axis=-1, keepdims=True) + np.exp(-largest))


def _over_heads(model: Oracle, scores: Array) -> Array:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _unmasked(model: Oracle, scores: Array) -> Array:
    return scores


def _masked_late(model: Oracle, scores: Array) -> Array:
    return np.where(ahead(scores.shape[-1]), 0, model.softmax(scores))


def _over_axis(axis: int) -> Callable[[Oracle, Array], Array]:
    def softmax(model: Oracle, scores: Array) -> Array:
        weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
        normalised: Array = weights / weights.sum(axis=axis, keepdims=True)
        return normalised

    return softmax


def _scaled_late(model: Oracle, original: Any, fused: Array, path: str) -> Array:
    late = attend(
        scores=lambda raw: raw, weights=lambda m, hidden: m.softmax(hidden) * model.scale(path)
    )
    return late(model, original, fused, path)


def _by_length(raw: Array) -> Array:
    return raw / np.sqrt(raw.shape[-1])


def _raised(model: Oracle, scores: Array) -> Array:
    return np.where(ahead(scores.shape[-1]), np.inf, scores)


def _only_ahead(model: Oracle, scores: Array) -> Array:
    return np.where(ahead(scores.shape[-1]), scores, -np.inf)


def _times_mask(model: Oracle, scores: Array) -> Array:
    return scores * np.where(ahead(scores.shape[-1]), -np.inf, 0.0)


def _added_late(model: Oracle, scores: Array) -> Array:
    return model.softmax(scores) + np.where(ahead(scores.shape[-1]), -np.inf, 0.0)


def _transposed(model: Oracle, hidden: Array) -> Array:
    return model.softmax(hidden).swapaxes(-1, -2)


def _identity(model: Oracle, hidden: Array) -> Array:
    return np.broadcast_to(np.eye(hidden.shape[-1]), hidden.shape)


def _even(model: Oracle, hidden: Array) -> Array:
    seen = np.isfinite(hidden).astype(float)
    weights: Array = seen / seen.sum(axis=-1, keepdims=True)
    return weights


def _merged_by_feature(model: Oracle, original: Any, x: Array) -> Array:
    batch, _, length, _ = x.shape
    return x.transpose(0, 2, 3, 1).reshape(batch, length, model.config.n_embd)


def _read_by_feature(model: Oracle, original: Any, fused: Array, path: str) -> Array:
    thirds = fused.reshape(*fused.shape[:-1], -1, 3).swapaxes(-1, -2)
    return original(thirds.reshape(fused.shape), path)


def _with_heads(n_head: int, *, own_scale: bool) -> Callable[..., Array]:
    """Attention with another number of heads: scaled by their size, or as GPT-2's."""

    def replacement(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        batch, length, width = fused.shape[0], fused.shape[1], model.config.n_embd
        size = width // n_head
        query, key, value = (
            part.reshape(batch, length, n_head, size).transpose(0, 2, 1, 3)
            for part in np.split(fused, 3, axis=-1)
        )
        scale = 1 / np.sqrt(size) if own_scale else model.scale(path)
        weights = model.softmax(model.masked(query @ key.swapaxes(-1, -2) * scale))
        return (weights @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)

    return replacement


RIGHT_WEIGHTS = "softmax of the masked scores over the keys"

_FURTHER: tuple[tuple[str, Callable[..., Array], str, str], ...] = (
    (
        "scale_late", _scaled_late,
        "the scale applied to the weights, after softmax",
        "scores divided by sqrt(head_dim), then softmax",
    ),
    (
        "scale_length", attend(scores=_by_length),
        "scores divided by sqrt(S), the number of tokens", "scores divided by sqrt(head_dim)",
    ),
    (
        "no_softmax", attend(weights=_unmasked),
        "the masked scores themselves as weights: softmax left out", RIGHT_WEIGHTS,
    ),
    (
        "no_softmax", attend(masked=_unmasked, weights=_unmasked),
        "the scores themselves as weights: mask and softmax left out", RIGHT_WEIGHTS,
    ),
    (
        "softmax_twice", attend(weights=lambda model, hidden: model.softmax(model.softmax(hidden))),
        "softmax twice", RIGHT_WEIGHTS,
    ),
    (
        "softmax_sigmoid", attend(weights=lambda model, hidden: model.sigmoid(hidden)),
        "the sigmoid of each score for softmax: weights do not sum to 1", RIGHT_WEIGHTS,
    ),
    (
        "softmax_exp", attend(weights=lambda model, hidden: np.exp(hidden)),
        "exp(s), not divided by its sum over the keys", RIGHT_WEIGHTS,
    ),
    (
        "softmax_relu", attend(weights=lambda model, hidden: np.maximum(hidden, 0)),
        "max(s, 0) for softmax", RIGHT_WEIGHTS,
    ),
    (
        "softmax_over_rows", attend(weights=_over_axis(0)),
        "softmax over the rows of the batch", "softmax over the keys",
    ),
    (
        "softmax_over_queries", attend(masked=_unmasked, weights=_over_axis(-2)),
        "no mask, and softmax over the queries", "keys ahead masked, softmax over the keys",
    ),
    (
        "mask_raised", attend(masked=_raised),
        "masked scores raised to +inf (+inf added, or -inf subtracted), which gives NaN",
        RIGHT_FILL,
    ),
    (
        "mask_only_ahead", attend(masked=_only_ahead),
        "the query's own key and all before it masked, those ahead seen; the last query has none",
        RIGHT_FILL,
    ),
    (
        "mask_times_inf", attend(masked=_times_mask),
        "scores multiplied by the mask of 0 and -inf, which gives NaN", "the mask added to them",
    ),
    (
        "mask_added_late", attend(masked=_unmasked, weights=_added_late),
        "softmax first, then -inf added to the weights", "mask first, then softmax",
    ),
    (
        "weights_transposed", attend(weights=_transposed),
        "the weights transposed before they meet the values", "weights v",
    ),
    (
        "values_alone", attend(weights=_identity),
        "the values as they are: the weights not used", "weights v",
    ),
    (
        "weights_even", attend(weights=_even),
        "the plain mean of the values up to the query: the scores not used", RIGHT_WEIGHTS,
    ),
    (
        "qkv_by_feature", _read_by_feature,
        "c_attn's output read as query, key, value of one feature after the other",
        "c_attn's output holds all queries, then all keys, then all values",
    ),
)  # fmt: skip

_STEPS: tuple[tuple[str, Callable[..., Array], str, str], ...] = (
    (
        "heads_viewed", _viewed,
        "[B, S, H K] viewed as [B, H, S, K] and back, never transposed", RIGHT_SPLIT,
    ),
    (
        "mask_upside_down", attend(masked=_upside_down),
        "keys before the query masked, those after it seen", "keys ahead of the query masked",
    ),
    (
        "softmax_plus_one", attend(weights=_plus_one),
        "exp(s) / (1 + sum exp(s))", "exp(s) / sum exp(s)",
    ),
    (
        "softmax_over_heads", attend(weights=_over_heads),
        "softmax over the heads", "softmax over the keys",
    ),
    (
        "softmax_before_mask", attend(masked=_unmasked, weights=_masked_late),
        "softmax first, then the mask: weights no longer sum to 1", "mask first, then softmax",
    ),
)  # fmt: skip

_OFFSETS = {
    -1: "the query's own key masked too, so that the first query has no key (is the diagonal "
    "masked?)",
    -2: "the query's own key and the one before masked too, so that the first two queries have no "
    "key",
    2: "the next two keys are seen too",
    3: "the next three keys are seen too",
}
"""How far ahead of the query keys are seen, in words; one ahead is in the catalogue."""


def _read_as(order: tuple[int, ...]) -> Callable[..., Array]:
    def replacement(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        parts = np.split(fused, 3, axis=-1)
        return original(np.concatenate([parts[i] for i in order], axis=-1), path)

    return replacement


def _of_other_heads(config: GPT2Config) -> Iterator[Fault]:
    for n_head in range(1, config.n_embd + 1):
        if config.n_embd % n_head or n_head == config.n_head:
            continue
        for own_scale in (True, False):
            size = f"heads of {config.n_embd // n_head} features"
            one = "one head of all features" if n_head == 1 else f"{n_head} {size}"
            scale = "" if own_scale else f", and scores divided by sqrt({config.head_dim})"
            yield Fault(
                id="head_count", method="attend", replace=_with_heads(n_head, own_scale=own_scale),
                found=f"{one}{scale}", seen_in="",
                expected=f"n_head = {config.n_head} heads of {config.head_dim} features", **AT_CORE,
            )  # fmt: skip


def attention_faults(config: GPT2Config) -> Iterator[Fault]:
    """Faults of attention without a number to be fitted.

    Args:
        config: the model's sizes.
    """
    for id_, replacement, found, expected in (*_STEPS, *_FURTHER):
        yield Fault(
            id=id_, method="attend", replace=replacement, found=found, expected=expected,
            seen_in="", **AT_CORE,
        )  # fmt: skip
    yield Fault(
        id="heads_not_split", method="split_heads", replace=_not_split, seen_in="",
        found="[B, S, H K] viewed as [B, H, S, K], not transposed", expected=RIGHT_SPLIT,
        **AT_CORE,
    )  # fmt: skip
    yield Fault(
        id="heads_merged_by_feature", method="merge_heads", replace=_merged_by_feature, seen_in="",
        found="[B, H, S, K] transposed to [B, S, K, H], then flattened",
        expected="[B, H, S, K] transposed to [B, S, H, K], then flattened", **AT_CORE,
    )  # fmt: skip
    yield from _of_other_heads(config)
    for offset, found in _OFFSETS.items():
        yield Fault(
            id="mask_offset", replace=_shifted(offset), found=found, expected=RIGHT_REACH,
            seen_in="", **MASK,
        )  # fmt: skip
    for order in itertools.product(range(3), repeat=3):
        if order not in ((0, 1, 2), (1, 0, 2), (0, 2, 1)):  # right, or in the catalogue
            names = ", ".join(PARTS[i] for i in order)
            yield Fault(
                id="qkv_order", method="attend", replace=_read_as(order), expected=RIGHT_READ,
                found=f"query, key and value read from c_attn's {names}", seen_in="", **AT_CORE,
            )  # fmt: skip
