"""Families of faults: one wrong number each, which is fitted to what a candidate computed.

A family is a fault with a parameter: the factor of the scores, the epsilon of a LayerNorm, the
number that masked scores are set to. Formulas that people write by mistake are tried first, then
the number is fitted by least squares, in float64 and on the stage's own input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.explain.closed_forms import Form, rounded_to
from verify.faults.base import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from impl.config import GPT2Config
    from reference.trace import Array
    from verify.explain.failure import Failure

STEPS = 12
"""Steps of a fit; each multiplies the correct digits, so that a few are enough."""

PROMISING = 0.999
"""A value that leaves more of the error than this is not a place to begin a fit."""

LESS = 0.8
"""What a step must leave of what was left before: a fit that gets nowhere is given up."""

SHORTER = 3
"""How often a step is shortened."""

NEARER = 1e-3
"""A value that leaves so much less than another one shows that the other is not exact."""

EXACT = 1e-9
"""A fit that leaves no more of the error has found the number."""

PER_DECADE = 3
"""Values that are tried between a number and ten times it."""

FINER = 6
"""Values that are tried between two neighbours, where no fit is possible."""

MOST_INPUTS = 3
"""Inputs that a number is fitted on, one after the other, before it is given up."""

NUDGE = 1e-6
"""Relative change of a number by which a fit sees what it does."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A fault with a parameter.

    Attributes:
        id: its name.
        tap, method, within: as a fault has them.
        replace: makes a fault's replacement of a value.
        forms: formulas for the value, the likeliest first.
        found: what is computed instead, `{}` standing for the value in words.
        expected: what the reference computes, `{}` standing for its value if it has one.
        right: the reference's own value.
        span: between which values a number is fitted that no formula gives; None for whole
            numbers.
        estimate: values that the failure itself suggests.
        least_length: as a fault has it.
        unseen: whether it is meant for candidates that do not show the place: else the sum at the
            place itself tells more.
    """

    id: str
    tap: str
    method: str
    within: str
    replace: Callable[[float], Callable[..., Any]]
    forms: tuple[Form, ...]
    found: str
    expected: str
    right: Callable[[GPT2Config, int], float] | None = None
    span: tuple[float, float] | None = None
    estimate: Callable[[Failure], list[float]] | None = None
    least_length: int = 1
    unseen: bool = False

    def fault(self, value: float, words: str = "", right: float | None = None) -> Fault:
        """The fault of one value.

        Args:
            value: of the parameter.
            words: the value as a person reads it.
            right: the reference's own value.
        """
        return Fault(
            id=self.id,
            tap=self.tap,
            method=self.method,
            within=self.within,
            replace=self.replace(value),
            expected=self.expected if right is None else self.expected.format(f"{right:.6g}"),
            found=self.found.format(words or f"{value:.6g}"),
            seen_in="",
            least_length=self.least_length,
        )


def fitted(family: Family, failures: list[Failure], layer: int | None) -> float | None:
    """The value for which a family computes what failed; None if there is none.

    Args:
        family: the fault with a parameter.
        failures: of one place, the most telling first; the value must explain each of them.
        layer: the block; None for every one.
    """
    telling: Failure | None = failures[0]
    for _ in range(MOST_INPUTS):
        value = _fitted_to(family, telling, layer) if telling else None
        if value is None:
            return None
        # One input may hardly depend on the number: the first that contradicts tells more.
        rest = (one for one in failures if not _explains(family, value, one, layer))
        telling = next(rest, None)
        if telling is None:
            return value
    return None


def explains_all(family: Family, value: float, failures: list[Failure], layer: int | None) -> bool:
    """Whether one value explains each failure.

    Args:
        family: the fault with a parameter.
        value: of the parameter.
        failures: of one place.
        layer: the block; None for every one.
    """
    return all(_explains(family, value, failure, layer) for failure in failures)


def _explains(family: Family, value: float, failure: Failure, layer: int | None) -> bool:
    return failure.explained_by(failure.variant(family.fault(value), layer))


def _fitted_to(family: Family, failure: Failure, layer: int | None) -> float | None:
    """The value that explains one failure."""

    def computed(value: float) -> Array | None:
        return failure.variant(family.fault(value), layer)

    tried: list[tuple[float, float]] = []
    chosen = (math.inf, math.nan)
    for value in values_tried(family, failure, layer):
        result = computed(value) if failure.budget.left > 0 else None
        if result is None:
            return None
        tried.append((failure.left(result), value))
        # Of values that all explain, the first, unless another one is far nearer.
        if failure.explained_by(result) and tried[-1][0] < NEARER * chosen[0]:
            chosen = tried[-1]
            if chosen[0] <= EXACT:
                break
    if chosen[0] < math.inf:
        return chosen[1]
    for start in _starts(family, failure, layer, tried):
        if (fit := least_squares(computed, failure, start)) is not None:
            return rounded_to(fit, lambda v: _explains(family, v, failure, layer))
    return _between(family, failure, layer, tried)


def _between(
    family: Family, failure: Failure, layer: int | None, tried: list[tuple[float, float]]
) -> float | None:
    """A value near the best one tried: where one score decides all, nothing can be followed."""
    left, best = min(tried, default=(math.inf, 0.0))
    if not family.span or left >= PROMISING:
        return None
    step = 10 ** (1 / PER_DECADE)
    near = (best * step ** (place / FINER) for place in range(-FINER + 1, FINER) if place)
    return next((value for value in near if _explains(family, value, failure, layer)), None)


def values_tried(family: Family, failure: Failure, layer: int | None) -> list[float]:
    """What is tried before anything is fitted: formulas, and numbers of every size.

    Args:
        family: the fault with a parameter.
        failure: what is to be explained.
        layer: the block; None for every one.
    """
    config = failure.expected.oracle.config
    values = family.estimate(failure) if family.estimate else []
    values += [form.value(config, layer or 0) for form in family.forms]
    if family.span:
        low, high = family.span
        sign, count = math.copysign(1, low), int(PER_DECADE * math.log10(high / low)) + 1
        values += [sign * v for v in np.geomspace(abs(low), abs(high), count).tolist()]
    right = family.right(config, layer or 0) if family.right else None
    return [value for value in dict.fromkeys(values) if value != right]


def _starts(
    family: Family, failure: Failure, layer: int | None, tried: list[tuple[float, float]]
) -> list[float]:
    """Where a fit may begin: at the value that leaves least, and at the right one."""
    if not family.span:
        return []
    left, best = min(tried, default=(math.inf, 0.0))
    starts = [best] if left < PROMISING and best else []
    if family.right:
        starts.append(family.right(failure.expected.oracle.config, layer or 0))
    return starts


def least_squares(
    computed: Callable[[float], Array | None], failure: Failure, start: float
) -> float | None:
    """The value near a start that explains a failure: Gauss and Newton's steps in its logarithm.

    Args:
        computed: what a stage computes with a value; None where that is not known.
        failure: what was found.
        start: not 0; the value keeps its sign.
    """
    found = failure.found.astype(np.float64)
    value, result = start, computed(start)
    for _ in range(STEPS):
        nudged = computed(value * (1 + NUDGE))
        if result is None or nudged is None:
            return None
        slope, rest = (nudged - result) / NUDGE, found - result
        steep = float(np.vdot(slope, slope))
        if not (math.isfinite(steep) and steep):
            return None
        step = max(-1.0, min(1.0, float(np.vdot(slope, rest)) / steep))
        before = failure.left(result)
        further = _stepped(computed, failure, value, step, before)
        if further is None:
            break
        value, result = further
        if failure.left(result) <= EXACT:
            break
    return value if failure.explained_by(result) else None


def _stepped(
    computed: Callable[[float], Array | None],
    failure: Failure,
    value: float,
    step: float,
    before: float,
) -> tuple[float, Array] | None:
    """The next value: the whole step, or a part of it that lessens what is left; else None."""
    for _ in range(SHORTER):
        following = value * math.exp(step)
        result = computed(following)
        if result is not None and failure.left(result) < LESS * before:
            return following, result
        step /= 4
    return None
