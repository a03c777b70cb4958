"""The operation that makes a NaN or an infinity: exp beyond its range, a row without keys, 0/0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.form import Operation
    from verify.locate.segment import Segment


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value first is not a number.

    Attributes:
        operation: that makes it.
        text: how, in words that end with the place in the source.
    """

    operation: Operation
    text: str


def origin(segment: Segment) -> Origin | None:
    """The operation from which a stage's NaN or infinities come; None if all is finite.

    Args:
        segment: evaluated in the precision in question.
    """
    grown = next(filter(None, (_grown(segment, op) for op in segment.operations)), None)
    undefined = next(filter(None, (_undefined(segment, op) for op in segment.operations)), None)
    if undefined is None or grown is None or undefined.operation is grown.operation:
        return undefined or grown
    order = [id(op) for op in segment.operations]
    if order.index(id(undefined.operation)) < order.index(id(grown.operation)):
        return undefined
    return Origin(grown.operation, f"{grown.text}, and then {undefined.text}")


def _operands(segment: Segment, operation: Operation) -> list[Array]:
    return [segment.values[n] for n in operation.operands if n in segment.values]


def _at(operation: Operation) -> str:
    return f" ({operation.place})" if operation.place else ""


# ---- infinities ----------------------------------------------------------------------------------


def _grown(segment: Segment, operation: Operation) -> Origin | None:
    """An infinity made of finite numbers; -inf that stands in a mask is meant."""
    number = operation.results[0].number
    result, taken = segment.values.get(number), _operands(segment, operation)
    if result is None or number not in segment.data or result.dtype.kind not in "fV" or not taken:
        return None
    infinite = np.isinf(_wide(result))
    if not infinite.any() or not all(np.isfinite(_wide(one)).all() for one in taken):
        return None
    at = tuple(np.argwhere(infinite)[0].tolist())
    return Origin(operation, _grown_text(operation, result, taken, at) + _at(operation))


def _grown_text(
    operation: Operation, result: Array, taken: list[Array], at: tuple[int, ...]
) -> str:
    kind, dtype = operation.kind.removeprefix("mo."), result.dtype.name
    largest = _largest(dtype)
    if kind == "exp":
        argument = _largest_of(taken[0])
        return f"exp({argument:.4g}) overflows: in {dtype} it ends at {math.log(largest):.1f}"
    if kind == "div":
        below = np.broadcast_to(_wide(taken[1]), result.shape)[at]
        if below == 0:
            return "division by 0"
    if kind in ("log", "rsqrt"):
        return f"{kind}(0)"
    return f"{kind} overflows: the largest {dtype} is {largest:.3g}"


def _largest(dtype: str) -> float:
    return float(ml_dtypes.finfo(np.dtype(getattr(ml_dtypes, dtype, dtype))).max)  # type: ignore[no-untyped-call]  # fmt: skip


def _largest_of(array: Array) -> float:
    return float(_wide(array).max())


# ---- NaN -----------------------------------------------------------------------------------------


def _undefined(segment: Segment, operation: Operation) -> Origin | None:
    """A NaN made of numbers none of which is."""
    result = segment.values.get(operation.results[0].number)
    taken = _operands(segment, operation)
    if result is None or result.dtype.kind not in "fV" or not np.isnan(_wide(result)).any():
        return None
    if any(np.isnan(_wide(one)).any() for one in taken if one.dtype.kind in "fV"):
        return None
    at = tuple(np.argwhere(np.isnan(_wide(result)))[0].tolist())
    return Origin(operation, _undefined_text(operation, result, taken, at) + _at(operation))


def _undefined_text(
    operation: Operation, result: Array, taken: list[Array], at: tuple[int, ...]
) -> str:
    kind = operation.kind.removeprefix("mo.")
    if kind in ("reduce.softmax", "reduce.logsoftmax"):
        place: list[Any] = list(at)
        place[operation.attributes["axis"]] = slice(None)
        if np.isneginf(_wide(taken[0])[tuple(place)]).all():
            return f"a row of the mask has no key{_which(at, result)}, and its softmax is NaN"
        return "softmax of an infinite score"
    wide = [np.broadcast_to(_wide(one), result.shape) for one in taken[:2] if _fits(one, result)]
    pair = [float(one[at]) for one in wide]
    if len(pair) == 2:
        signs = {"div": "/", "sub": "-", "add": "+", "mul": "x", "pow": "^"}
        if kind == "sub" and np.isneginf(pair).all():
            return f"a row of the mask has no key{_which(at, result)}: -inf - -inf is NaN"
        return f"{pair[0]:.3g} {signs.get(kind, kind)} {pair[1]:.3g} is NaN"
    if len(pair) == 1:
        return f"{kind}({pair[0]:.4g}) is NaN"
    return f"{kind} makes NaN"


def _which(at: tuple[int, ...], scores: Array) -> str:
    """The query of an element of scores `[..., query, key]`, and what that suggests.

    Where a triangle of keys is seen, and its diagonal masked too, the first query or the last has
    no key.
    """
    if len(at) < 2:
        return ""
    corner = at[-2] in (0, scores.shape[-2] - 1)
    return f" (query {at[-2]}{': is the diagonal masked?' if corner else ''})"


def _fits(array: Array, result: Array) -> bool:
    try:
        np.broadcast_to(array, result.shape)
    except ValueError:
        return False
    return array.dtype.kind in "fVi"


def _wide(array: Array) -> Array:
    """As float64, numbers of 16 bits included."""
    return array if array.dtype == np.float64 else array.astype(np.float64)
