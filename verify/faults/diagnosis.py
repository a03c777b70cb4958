"""What a failing stage computes instead.

The candidate is compared with the catalogue of faults: each fault of the failing place is computed
in float64 on the same input, and the one that the candidate agrees with, within a few envelopes,
is the explanation. Where none fits, the shape of the error is described.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.dtypes import is_floating
from reference.taps import INPUT, in_words, layer_of, with_layer
from verify.faults.catalogue import catalogue
from verify.faults.planted import Planted
from verify.judge.acceptance import judge
from verify.judge.metrics import rms
from verify.judge.rounding import effective_bits, precision_class
from verify.pairing.counterpart import PARTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reference.trace import Array, Trace
    from verify.faults.base import Fault
    from verify.truth.expectation import Expectation

AGREES = 3.0
"""Error over allowed, to a fault's float64 result, up to which a candidate computes that fault: the
envelope is the correct stage's, and a faulty one may round a little worse."""


def diagnose(
    tap: str, found: Array, expected: Expectation, visible: Collection[str] | None = None
) -> str:
    """Say in a sentence what the candidate computes at `tap`.

    Args:
        tap: the first place that failed in isolation.
        found: what the candidate computed there.
        expected: what the case is compared with.
        visible: the places that the candidate shows; None for all. A fault at a place that it does
            not show is looked for at the next visible one.
    """
    match = matching_fault(tap, found, expected, visible)
    if match is not None:
        fault, where = match
        return f"{in_words(tap)}: {fault.explanation(where)}"
    return f"{in_words(tap)}: {describe(tap, found, expected, expected.oracle.config.n_head)}"


def matching_fault(
    tap: str, found: Array, expected: Expectation, visible: Collection[str] | None = None
) -> tuple[Fault, str] | None:
    """The fault whose float64 result the candidate agrees with best, if it agrees at all.

    Returns:
        The fault and, where the place does not tell it, the block: ` in block 3`.
    """
    shown = expected.isolated.keys() if visible is None else visible
    closest: tuple[float, Fault, str] | None = None
    for fault, layer in _faults_behind(tap, expected.oracle.config.n_layer, shown, expected.dtype):
        with np.errstate(all="ignore"):
            trace = _planted_trace(fault, layer, expected, shown)
        result = trace.get(tap)
        if result is None or _same(result, expected.isolated[tap]):
            continue
        used = judge(found, result, expected.isolated_envelope[tap], expected.dtype).used
        if used is not None and used <= AGREES and (closest is None or used < closest[0]):
            closest = used, fault, _where(tap, fault, layer)
    return closest[1:] if closest else None


def _same(result: Array, truth: Array) -> bool:
    """Whether a fault shows nothing here, or nothing that can be compared."""
    return np.array_equal(result, truth) or not bool(np.isfinite(result).all())


def _planted_trace(
    fault: Fault, layer: int | None, expected: Expectation, shown: Collection[str]
) -> Trace:
    planted = Planted(expected.oracle, fault, layer)
    if layer is None:
        return planted.whole(expected.case.ids, expected.given)
    tap = fault.blamed(layer)
    return planted.seen(tap, expected.case.ids, expected.isolated, expected.given, shown)


def _where(tap: str, fault: Fault, layer: int | None) -> str:
    if "{layer}" not in fault.tap or layer_of(tap) is not None:
        return ""
    return " in every block" if layer is None else f" in block {layer}"


def _faults_behind(
    tap: str, n_layer: int, shown: Collection[str], dtype: str
) -> Iterator[tuple[Fault, int | None]]:
    """Faults of the place itself, then those of places that are not shown, with their block."""
    for fault in _faults_at(tap, dtype):
        yield fault, layer_of(tap) or 0
    own = layer_of(tap)
    layers: list[int | None] = [own] if own is not None else [None, *range(n_layer)]
    for fault in catalogue(dtype):
        if "{layer}" not in fault.tap:
            if own is None and fault.tap not in shown:
                yield fault, 0
            continue
        for layer in layers:
            if fault.blamed(layer or 0) not in shown:
                yield fault, layer


def _faults_at(tap: str, dtype: str) -> Iterator[Fault]:
    """Faults that can be planted where the tap lies; ln_1's are ln_2's too."""
    pattern = with_layer(tap, "{layer}")
    return (fault for fault in catalogue(dtype) if fault.tap in (pattern, tap))


def describe(tap: str, found: Array, expected: Expectation, n_head: int) -> str:
    """What the error looks like, most telling feature first."""
    truth = expected.isolated[tap]
    if found.shape != truth.shape:
        return f"its shape is {list(found.shape)}, not {list(truth.shape)}"
    if not np.isfinite(found).all():
        return f"{np.mean(~np.isfinite(found)):.0%} of its elements are NaN or infinite"
    if not is_floating(truth):
        return f"it is {found.ravel()[:4].tolist()}..., not {truth.ravel()[:4].tolist()}..."
    found = found.astype(np.float64)
    error = found - truth
    features = (
        _as_a_whole(found, truth),
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
    return f"its error is {rms(error) / scale:.1%} of its size" if scale else "it is not zero"
