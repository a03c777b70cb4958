"""The precision that a candidate really has, place by place, as one check."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from verify.judge.rounding import effective_bits, precision_class
from verify.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Iterable


def precision_check(checks: Iterable[Check], dtype: str, device: str) -> Check:
    """How many bits are right; FAIL where a place has a lower precision than was declared.

    Args:
        checks: of stages alone, on one device; others are passed over.
        dtype: the declared precision.
        device: names the check.
    """
    computed = [check for check in checks if check.mode == "isolated" and check.relative]
    if not computed:
        return _check(device, dtype, "SKIP", "no place was computed", {})
    lower = {
        check.tap: (check, name)
        for check in computed
        if (name := _class_of(check, dtype)) not in (dtype, "none")
    }
    worst = min(computed, key=_bits)
    details: dict[str, object] = {
        "class": dtype,
        "median_bits": median(map(_bits, computed)),
        "least_bits": _bits(worst),
        "least_at": worst.tap,
        "least_case": worst.case,
        "torch_bits_there": effective_bits(worst.torch_relative or 0.0),
    }
    if not lower:
        return _check(device, dtype, "PASS", "", details)
    first, name = next(iter(lower.values()))
    places = len({check.tap for check in computed})
    message = (
        f"{dtype} was declared, but the error is as large as {name}'s at {len(lower)} of {places} "
        f"places: {_bits(first):.1f} bits are right, {_torch_bits(first):.1f} of PyTorch's"
    )
    return _check(device, dtype, "FAIL", message, {**details, "class": name}, first.tap)


def _class_of(check: Check, dtype: str) -> str:
    """The precision that a place's error looks like; its own where the rule accepts it."""
    if check.verdict == "PASS" or not check.rms or not check.relative:
        return dtype
    scale = check.rms / check.relative
    return precision_class(check.relative, (check.envelope_rms or 0.0) / scale, dtype)


def _bits(check: Check) -> float:
    return effective_bits(check.relative or 0.0)


def _torch_bits(check: Check) -> float:
    return effective_bits(check.torch_relative or 0.0)


def _check(
    device: str, dtype: str, verdict: str, message: str, details: dict[str, object], tap: str = ""
) -> Check:
    return Check(
        case=device,
        mode="precision",
        tap=tap,
        verdict=verdict,  # type: ignore[arg-type]
        dtype=dtype,
        message=message,
        details=details,
    )
