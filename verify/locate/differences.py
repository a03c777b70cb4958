"""What is different about the first operation that departs from the reference, in words.

A number that should be another one, a mask that hides other keys, an epsilon, a cast, numbers in
another arrangement; else what the reference computes in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.taps import in_words
from verify.locate.matching import SAME, rearranged, same_numbers
from verify.locate.segment import CASTS, LAYOUTS, scalar
from verify.locate.sequences import compared_integers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reference.trace import Array
    from verify.graph.form import Operation
    from verify.locate.matching import Matches
    from verify.locate.quantities import Quantity
    from verify.locate.segment import Segment

SIGNS = {"mo.add": "+", "mo.sub": "-", "mo.mul": "times", "mo.div": "divided by"}

BOUNDS = {"mo.min": "nothing above", "mo.max": "nothing below"}

NEITHER = ", a number that the reference does not have here"


@dataclass(frozen=True, slots=True)
class Recognised:
    """A segment with the reference's quantities that its values are.

    Attributes:
        found: the segment.
        known: the reference's quantities, in their order.
        matches: which is which.
        tap, right: the place in question, and what it holds in the reference.
    """

    found: Segment
    known: Sequence[Quantity]
    matches: Matches
    tap: str
    right: Array

    def quantity(self, number: int) -> str:
        """The quantity that a value is; "" for none."""
        place = self.matches.names.get(self.found.source(number))
        return "" if place is None else self.known[place].words

    def taken(self, operation: Operation) -> int | None:
        """The place of the latest quantity that an operation takes; None if it takes none."""
        numbers = (self.found.source(number) for number in operation.operands)
        places = [self.matches.names[n] for n in numbers if n in self.matches.names]
        return max(places, default=None)

    def own(self) -> str:
        """What the place holds in the reference."""
        names = [q.words for q in self.known if _equal(q.array, self.right)]
        return names[0] if names else in_words(self.tap)


def difference(recognised: Recognised, operation: Operation) -> str:
    """What is different about an operation, after its name; "" where nothing is known.

    Args:
        recognised: the segment.
        operation: the first from which nothing recognised follows.
    """
    if operation.kind in CASTS:
        return ", where the reference keeps every bit"
    return next(filter(None, _differences(recognised, operation)), "")


def _differences(of: Recognised, operation: Operation) -> Iterator[str]:
    number = operation.results[0].number
    for compared in (_number, _bound, _epsilon, _mask):
        text = compared(of, operation)
        yield f": {text}" if text else ""
    if number in of.matches.mistaken:
        other = of.known[of.matches.mistaken[number]].words
        yield f": {in_words(of.tap)} should be {of.own()}, and is {other}"
    if of.right.dtype.kind in "iu" and number in of.found.results:
        yield f": {compared_integers(of.found.values[number], of.right.reshape(-1))}"
    if other := _arranged(of, number):
        yield f": the numbers of {other}, in another arrangement"
    if of.own() in {of.known[place].words for place in of.matches.names.values()}:
        yield f": the reference ends with {of.own()}"
    following = _next(of, operation)
    if _is_last(of.found, operation):
        via = f", beginning with {following}" if following not in ("", of.own()) else ""
        following = f"{of.own()}{via}"
    yield f", where the reference has {following}" if following else ""


def _equal(a: Array, b: Array) -> bool:
    return a.size == b.size and same_numbers(a, b)


# ---- numbers -------------------------------------------------------------------------------------


def _number(of: Recognised, operation: Operation) -> str:
    """A constant number that should be another one."""
    sign, place = SIGNS.get(operation.kind), of.taken(operation)
    constants = [scalar(of.found, number) for number in operation.operands]
    numbers = [value for value in constants if value is not None]
    if sign is None or place is None or len(numbers) != 1:
        return ""
    value, taken = numbers[0], of.known[place].array
    wanted = [_constant(operation.kind, taken, q.array) for q in of.known[place + 1 :]]
    known = [one for one in wanted if one is not None]
    if known:
        nearest = min(known, key=lambda one: _apart(one, value))
        return f"{sign} {value:.6g}, and the reference has {sign} {nearest:.6g}"
    bias = _bias(of, place) if operation.kind == "mo.add" else ""
    return f"{sign} {value:.6g}{bias or NEITHER}"


def _bound(of: Recognised, operation: Operation) -> str:
    """A number below or above which the operation lets nothing pass."""
    if operation.kind not in BOUNDS or of.right.dtype.kind != "f":
        return ""
    numbers = (scalar(of.found, number) for number in operation.operands)
    value = next((one for one in numbers if one is not None), None)
    return "" if value is None else f"{BOUNDS[operation.kind]} {value:.6g}{NEITHER}"


def _apart(a: float, b: float) -> float:
    """How far apart two numbers are, in sizes rather than in differences."""
    if a * b > 0:
        return abs(math.log(a / b))
    return math.inf if a * b < 0 else abs(a - b)


def _constant(kind: str, taken: Array, result: Array) -> float | None:
    """The one number that makes a quantity of another by an operation; None if there is none."""
    finite = np.isfinite(taken)
    if taken.shape != result.shape or not finite.any():
        return None
    if not np.array_equal(finite, np.isfinite(result)):
        return None
    a, b = taken[finite], result[finite]
    at = int(np.abs(a).argmax())
    return _factor(kind, a, b, at) if kind in ("mo.mul", "mo.div") else _summand(kind, a, b, at)


def _factor(kind: str, a: Array, b: Array, at: int) -> float | None:
    if a[at] == 0 or b[at] == 0:
        return None
    factor = float(b[at] / a[at])
    fits = np.allclose(a * factor, b, rtol=SAME, atol=SAME * np.abs(b).max())
    if not fits or abs(factor - 1) <= SAME:
        return None
    return factor if kind == "mo.mul" else 1 / factor


def _summand(kind: str, a: Array, b: Array, at: int) -> float | None:
    summand = float(b[at] - a[at])
    if not np.allclose(a + summand, b, rtol=0, atol=SAME * np.abs(b).max()) or not summand:
        return None
    return summand if kind == "mo.add" else -summand


def _bias(of: Recognised, place: int) -> str:
    """A vector that the reference adds where the candidate adds a number."""
    taken = of.known[place].array
    for quantity in of.known[place + 1 :]:
        if quantity.array.shape == taken.shape and taken.ndim > 1:
            rows = (quantity.array - taken).reshape(-1, taken.shape[-1])
            if float(np.ptp(rows, axis=0).max()) <= SAME * float(np.abs(taken).max()):
                return f", and the reference adds a bias: {quantity.words}"
    return ""


def _epsilon(of: Recognised, operation: Operation) -> str:
    """The epsilon of a normalisation in one operation."""
    if operation.kind != "mo.reduce.layer_norm":
        return ""
    value = scalar(of.found, operation.operands[3])
    by_name = {quantity.name.partition(": ")[2]: quantity.array for quantity in of.known}
    if value is None or not {"variance", "variance + eps"} <= by_name.keys():
        return ""
    wanted = float((by_name["variance + eps"] - by_name["variance"]).flat[0])
    if math.isclose(value, wanted, rel_tol=1e-4):  # the difference of two larger numbers
        return ""
    return f"eps {value:.3g}, and the reference has {wanted:.3g}"


# ---- masks and arrangements ----------------------------------------------------------------------


def _mask(of: Recognised, operation: Operation) -> str:
    """What is added to the scores, and should be other numbers."""
    number = operation.results[0].number
    hidden = _hidden(of)
    if hidden is None:
        return ""
    if operation.kind == "mo.select" and number in of.found.data:
        sides = (scalar(of.found, one) for one in operation.operands[1:])
        fill = next((value for value in sides if value is not None), None)
        return "" if fill is None else f"masked scores are {fill:.6g}, and the reference has -inf"
    array = of.found.values[number]
    if number in of.found.data or array.ndim < 2 or array.shape[-2:] != hidden.shape:
        return ""
    hides = _hides(array)
    wrong = np.argwhere(hidden != hides)
    if not len(wrong):
        return f"it holds {float(array.min()):.6g} where the reference has -inf"
    query, key = wrong[0]
    does = "hides" if hides[query, key] else "shows"
    return f"the mask {does} key {key} of query {query}, and the reference does not"


def _hidden(of: Recognised) -> Array | None:
    """Which keys the reference hides: `[query, key]`."""
    masked = next((q.array for q in of.known if q.name == "masked scores"), None)
    return None if masked is None else np.isneginf(masked[0, 0])


def shows_the_right_keys(of: Recognised, number: int) -> bool:
    """Whether a value is a mask of truth values that shows the keys that the reference shows.

    Args:
        of: the segment.
        number: of the value.
    """
    hidden, array = _hidden(of), of.found.values.get(number)
    if hidden is None or array is None or array.dtype.kind != "b":
        return False
    return array.shape[-2:] == hidden.shape and bool((_hides(array) == hidden).all())


def _hides(mask: Array) -> Array:
    """Where a mask, of its first head, lowers scores."""
    plane = mask.reshape(-1, *mask.shape[-2:])[0]
    return plane < 0 if plane.dtype.kind == "f" else ~plane.astype(bool)


def _arranged(of: Recognised, number: int) -> str:
    """The quantity whose numbers these are, each in another place."""
    array = of.found.values[number]
    return next((q.words for q in of.known if rearranged(array, q)), "")


def _is_last(found: Segment, operation: Operation) -> bool:
    """Whether nothing follows an operation but other arrangements of its result."""
    later = found.operations[found.operations.index(operation) + 1 :]
    return all(one.kind in LAYOUTS for one in later)


def _next(of: Recognised, operation: Operation) -> str:
    """What the reference computes from the latest quantity that is taken."""
    place = of.taken(operation)
    if place is None:
        return ""
    taken = of.known[place].array
    later = (q.words for q in of.known[place + 1 :] if not _equal(q.array, taken))
    return next(later, "")
