"""The shape of an error, where nothing explains it: which rows, which heads, how large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.dtypes import is_floating
from reference.taps import INPUT
from verify.judge.finite import in_counts, is_finite
from verify.judge.metrics import rms
from verify.judge.rounding import effective_bits, precision_class, to_bf16, to_fp16
from verify.locate.sequences import compared_integers
from verify.pairing.counterpart import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array
    from verify.truth.expectation import Expectation


NARROWER: dict[str, Callable[[Array], Array]] = {"bfloat16": to_bf16, "float16": to_fp16}
"""By name, what rounds to it: of two formats that hold all values, the one of fewer bits first."""

BY_CHANCE = 0.5
"""Share of the right values that a narrower format holds, from which on it tells nothing."""

ROUNDED = 0.5
"""Part of the error that rounding the right result may leave: halfway values go to either side."""


def describe(tap: str, found: Array, expected: Expectation, n_head: int) -> str:
    """What the error looks like, most telling feature first."""
    truth = expected.isolated[tap]
    if found.shape != truth.shape:
        return f"its shape is {list(found.shape)}, not {list(truth.shape)}"
    if not is_floating(truth):
        return compared_integers(found, truth)
    if not is_finite(found):
        return in_counts(found, expected.case.name)
    found = found.astype(np.float64)
    error = found - truth
    features = (
        _as_a_whole(found, truth),
        _as_rounded(found, truth, expected.dtype),
        _by_head(error, n_head) if tap.endswith(f"attn.c_proj{INPUT}") else "",
        _by_third(error) if tap.endswith("attn.c_attn") else "",
        _by_position(error),
        _by_row(found, truth, error),
        _as_a_precision(error, truth, expected.isolated_envelope[tap].rms, expected.dtype),
    )
    return next((feature for feature in features if feature), _size(error, truth))


def _as_a_whole(found: Array, truth: Array) -> str:
    """All zeros, a constant, or the right result times a factor."""
    if not found.any():
        return "it is all zeros"
    if np.ptp(found) == 0:
        return f"every element is {found.flat[0]:.4g}"
    factor = float(np.vdot(truth, found) / np.vdot(truth, truth))
    rest = rms(found - factor * truth)
    if abs(factor - 1) > 1e-5 and rest < 1e-3 * rms(found - truth):
        return f"it is the right result times {factor:.6g}"
    return ""


def _as_rounded(found: Array, truth: Array, dtype: str) -> str:
    """Every value is one of a narrower format, as no result is by chance."""
    for name, round_ in NARROWER.items():
        if name == dtype or not np.array_equal(round_(found), found):
            continue
        if float(np.mean(round_(truth) == truth)) > BY_CHANCE:
            continue
        nearest = rms(found - round_(truth)) <= ROUNDED * rms(found - truth)
        rest = "" if nearest else ", and differs by more than that"
        return f"it is rounded to {name}: every value is one that {name} holds{rest}"
    return ""


def _by_row(found: Array, truth: Array, error: Array) -> str:
    """Rows in another order, or only some rows wrong."""
    wrong, right = found.reshape(-1, found.shape[-1]), truth.reshape(-1, truth.shape[-1])
    scale = rms(truth)
    by_row = np.sqrt((error.reshape(wrong.shape) ** 2).mean(axis=1))
    bad = by_row > 1e-4 * scale
    if len(right) > 1 and bad.any():
        order = [int(np.abs(right - row).max(axis=1).argmin()) for row in wrong]
        if rms(wrong - right[order]) < 1e-4 * scale:
            return f"its rows are the right ones in another order: {order[:6]}..."
    if bad.any() and not bad.all():
        first, last = np.flatnonzero(bad)[[0, -1]]
        whole = " and all rows between" if bad[first : last + 1].all() else ""
        return f"{bad.sum()} of {len(bad)} rows are wrong, rows {first} to {last}{whole}"
    return ""


def _by_head(error: Array, n_head: int) -> str:
    """Only some heads wrong."""
    heads = np.sqrt((error.reshape(-1, n_head, error.shape[-1] // n_head) ** 2).mean(axis=(0, 2)))
    bad = np.flatnonzero(heads > 0.05 * heads.max())
    return f"only heads {bad.tolist()} of {n_head} are wrong" if 0 < len(bad) < n_head else ""


def _by_third(error: Array) -> str:
    """Only the query's, the key's or the value's part of the fused projection wrong."""
    thirds = [rms(part) for part in np.split(error, 3, axis=-1)]
    bad = [name for name, size in zip(PARTS, thirds, strict=True) if size > 0.01 * max(thirds)]
    return f"only the {' and the '.join(bad)} are wrong" if 0 < len(bad) < 3 else ""


def _by_position(error: Array) -> str:
    """The error grows along the sequence, from nearly every position to the next."""
    if error.ndim != 3 or error.shape[1] < 8:
        return ""
    by_position = np.sqrt((error**2).mean(axis=(0, 2)))
    rising = np.mean(np.diff(by_position) > 0)
    quarter = len(by_position) // 4
    first, last = rms(by_position[:quarter]), rms(by_position[-quarter:])
    if rising < 0.8 or last <= 2 * first:
        return ""
    return "its error grows along the sequence, from position to position"


def _as_a_precision(error: Array, truth: Array, envelope: float, dtype: str) -> str:
    """The size of the error is that of fewer bits."""
    scale = rms(truth)
    if not scale or not envelope:
        return ""
    relative = rms(error) / scale
    name = precision_class(relative, envelope / scale, dtype)
    if name in (dtype, "none"):
        return ""
    bits, own = effective_bits(relative), effective_bits(envelope / scale)
    return f"its error is as large as {name}'s: {bits:.1f} bits are right, {own:.1f} in {dtype}"


def _size(error: Array, truth: Array) -> str:
    scale = rms(truth)
    if not scale:
        return "it is not zero"
    share = rms(error) / scale
    size = f"{share:.3g} times" if share >= 1 else f"{share:.1%} of" if share >= 1e-3 else ""
    return f"no known fault explains it; its error is {size or f'{share:.1e} of'} its size"
