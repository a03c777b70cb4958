"""Which operation of a candidate's graph computes which quantity of the reference.

An operation is recognised by its value: it is a quantity of the reference if the numbers are the
same within float64's rounding, whatever the layout. One that is not recognised, but from which a
recognised one follows, is another way of writing the same formula. The first from which none
follows is where the candidate departs from the reference.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verify.locate.quantities import Quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.trace import Array
    from verify.graph.form import Operation
    from verify.locate.segment import Segment

SAME = 1e-9
"""Of the largest number: two float64 results that differ by less are one. Rounding adds up to some
1e-13, a factor or constant that is wrong changes more than 1e-6."""

ALIKE = 1e-6
"""Relative difference of two sums of magnitudes beyond which arrays are not the same."""

HEADS = 4
"""Axes of what is split into heads: there an arrangement of the numbers means something."""

MOST_AXES = 5
"""Arrays of more axes are compared in their own layout alone."""


def same_numbers(found: Array, expected: Array) -> bool:
    """Whether two arrays hold the same numbers in the same places of memory, infinities too."""
    a, b = found.ravel(), expected.ravel()
    if a.dtype.kind not in "fiu" or b.dtype.kind not in "fiu":
        return a.dtype.kind == b.dtype.kind and bool((a == b).all())
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite) or not np.array_equal(a[~finite], b[~finite]):
        return False
    scale = float(np.abs(b[finite]).max(initial=0.0))
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)) <= SAME * scale


def holds(found: Array, quantity: Quantity) -> bool:
    """Whether an array is a quantity, its axes in any order, flattened or repeated."""
    return _holds(Quantity("", found), quantity)


def _holds(found: Quantity, quantity: Quantity) -> bool:
    array = quantity.array
    if found.array.size != array.size:
        return _repeats(found.array, array)
    if not _alike(found, quantity):
        return False
    every = itertools.permutations(range(array.ndim))
    orders = every if array.ndim <= MOST_AXES else [tuple(range(array.ndim))]
    return any(same_numbers(found.array, array.transpose(order)) for order in orders)


def rearranged(found: Array, quantity: Quantity) -> bool:
    """Whether an array holds the numbers of a quantity, but each in another place."""
    if found.size != quantity.array.size or not _alike(Quantity("", found), quantity):
        return False
    return same_numbers(np.sort(found, axis=None), np.sort(quantity.array, axis=None))


def _alike(found: Quantity, quantity: Quantity) -> bool:
    """Whether sums agree, which costs little and rules out nearly everything."""
    if found.array.size != quantity.array.size:
        return False
    (count, total), (known, sum_) = found.size, quantity.size
    return count == known and abs(total - sum_) <= ALIKE * max(total, sum_)


def _repeats(found: Array, quantity: Array) -> bool:
    """Whether the quantity is repeated along an axis: positions are the same for all rows."""
    if found.size < quantity.size or found.ndim < quantity.ndim or quantity.size < 2:
        return False
    try:
        wide = np.broadcast_to(quantity, found.shape)
    except ValueError:
        return False
    return same_numbers(found, wide)


@dataclass(frozen=True, slots=True)
class Matches:
    """The quantities that a segment's values are.

    Attributes:
        names: by number of a value, the place of its quantity among the reference's.
        mistaken: the same for what the place is made of, where it is another quantity than asked.
        departs: the first operation from whose value no recognised one follows; None if all of
            what the place is made of was recognised.
    """

    names: dict[int, int]
    mistaken: dict[int, int]
    departs: Operation | None


def matched(segment: Segment, known: Sequence[Quantity], right: Array) -> Matches:
    """Recognise a segment's values.

    Args:
        segment: the candidate's.
        known: the reference's quantities, in their order.
        right: what the place holds in the reference.
    """
    makers = {value.number: op for op in segment.operations for value in op.results}
    names: dict[int, int] = {}
    for number in sorted(segment.data - segment.spread.keys()):
        if number not in segment.values:
            continue
        taken = makers[number].operands if number in makers else ()
        after = max((names.get(segment.source(one), -1) for one in taken), default=-1)
        if (place := _quantity_of(segment.values[number], known, after)) is not None:
            names[number] = place
    # A place may be made of thirds: of query, key and value.
    rights = np.split(right, len(segment.results), axis=-1)
    mistaken = {
        number: names.pop(number)
        for number, part in zip(segment.results, rights, strict=True)
        if number in names and not holds(segment.values[number], Quantity("", part))
    }
    return Matches(names, mistaken, _departure(segment, names))


def _quantity_of(array: Array, known: Sequence[Quantity], after: int) -> int | None:
    """The quantity that an array is: of several equal ones the first that comes late enough."""
    if array.size < 2:
        return None
    own = Quantity("", array)
    if any(_misarranged(own, quantity) for quantity in known):
        return None
    found = [place for place, quantity in enumerate(known) if _holds(own, quantity)]
    later = [place for place in found if place >= after]
    return next(iter(later or found), None)


def _misarranged(found: Quantity, quantity: Quantity) -> bool:
    """Whether an array has a quantity's very shape and numbers, but each in another place.

    `[B, S, H K]` viewed as `[B, H, S, K]` keeps the order of its numbers in memory, and is wrong.
    """
    shape = quantity.array.shape
    if found.array.shape != shape or len(set(shape)) < HEADS or not _alike(found, quantity):
        return False
    same = same_numbers(found.array, quantity.array)
    return not same and rearranged(found.array, quantity)


def _departure(segment: Segment, names: dict[int, int]) -> Operation | None:
    """The first operation on the way of the numbers from which nothing recognised follows."""
    if all(number in names for number in segment.results):
        return None
    leads = set(names)
    for operation in reversed(segment.operations):
        if leads & {value.number for value in operation.results}:
            leads |= {segment.source(number) for number in operation.operands}
    for operation in segment.operations:
        numbers = {value.number for value in operation.results}
        if numbers & segment.data and not numbers & leads:
            return operation
    return None
