"""Which axes a reshape splits and merges, told from declared shapes alone."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.graph.form import Compound, Size

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Group:
    """Two neighbouring axes that are one axis on the other side of a reshape.

    Attributes:
        axes: of the result, where an axis is split; of the operand, where two are merged.
        is_split: which of both.
    """

    axes: tuple[int, int]
    is_split: bool


def groups(before: Sequence[Size], after: Sequence[Size]) -> list[Group]:
    """The pairs of axes that a reshape splits or merges, axes of size 1 left out.

    Args:
        before: the operand's shape.
        after: the result's.
    """
    found = []
    for old, new in _matched(before, after):
        wide_old = [axis for axis in old if before[axis] != 1]
        wide_new = [axis for axis in new if after[axis] != 1]
        if len(wide_old) < 2 and len(wide_new) > 1:
            found += [Group(pair, is_split=True) for pair in _pairs(wide_new)]
        elif len(wide_old) > 1 and len(wide_new) < 2:
            found += [Group(pair, is_split=False) for pair in _pairs(wide_old)]
    return found


def _pairs(axes: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(axes))


def _matched(before: Sequence[Size], after: Sequence[Size]) -> list[tuple[list[int], list[int]]]:
    """Runs of axes on both sides that hold the same elements; empty where that cannot be told."""
    result, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        old, new = [i] if i < len(before) else [], [j] if j < len(after) else []
        while (a := _factors(before, old)) != (b := _factors(after, new)):
            next_old, next_new = i + len(old), j + len(new)
            if next_old < len(before) and (_divides(a, b) or next_new >= len(after)):
                old.append(next_old)
            elif next_new < len(after):
                new.append(next_new)
            else:
                return []
        result.append((old, new))
        i, j = i + len(old), j + len(new)
    return result


Factors = tuple[int, Counter[str]]


def _factors(shape: Sequence[Size], axes: Sequence[int]) -> Factors:
    """The product of some axes: a number, and symbols."""
    number, symbols = 1, Counter[str]()
    for axis in axes:
        one, others = _of(shape[axis])
        number *= one
        symbols += others
    return number, symbols


def _of(size: Size) -> Factors:
    if isinstance(size, int):
        return size, Counter()
    if isinstance(size, Compound) and size.operator.startswith("mul"):
        parts = [_of(one) for one in size.operands]
        return math.prod(n for n, _ in parts), sum((s for _, s in parts), Counter[str]())
    return 1, Counter([str(size)])


def _divides(a: Factors, b: Factors) -> bool:
    return bool(a[0]) and b[0] % a[0] == 0 and not a[1] - b[1]
