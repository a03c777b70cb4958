"""Operands: left out, exchanged with each other, or another value of the same shape."""

from __future__ import annotations

from bisect import bisect
from heapq import merge
from typing import TYPE_CHECKING

from verify.graph.form import is_floating
from verify.mutants.change import PASSING, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.graph.form import Value
    from verify.mutants.change import Change, Site, Source

COMBINING = (
    "mo.add",
    "mo.sub",
    "mo.mul",
    "mo.div",
    "mo.pow",
    "mo.mod",
    "mo.max",
    "mo.min",
    "mo.select",
)
"""Kinds whose operands stand side by side: one alone is what is left of them."""

ORDERED = (
    "mo.sub",
    "mo.div",
    "mo.pow",
    "mo.mod",
    "mo.greater",
    "mo.greater_equal",
    "mo.matmul",
    "mo.batch_matmul",
)
"""Kinds that mean something else when their first two operands change places."""

NEIGHBOURS = 2
"""Other values that are put in place of an operand: the nearest ones in the graph."""


def left_out(site: Site) -> Iterator[Change]:
    """An operand handed on as the result: a bias, a residual, a scale or a whole operation."""
    if site.kind in PASSING or not (site.is_floating or site.kind == "mo.not"):
        return
    alike = [k for k, value in enumerate(site.operands) if _fits(value, site.result)]
    for k in alike:
        draft = site.draft()
        draft.hand_on(site.operation.operands[k])
        if site.kind in COMBINING:
            others = [site.name(j) for j in range(len(site.operands)) if j != k]
            yield draft.change("operand", f"{' and '.join(others)} left out")
        else:
            yield draft.change("operation", f"left out, {site.name(k)} is handed on")


def exchanged(site: Site) -> Iterator[Change]:
    """Two operands in each other's place."""
    if site.kind == "mo.select":
        first, second = 1, 2
    elif site.kind in ORDERED:
        first, second = 0, 1
    else:
        return
    a, b = site.operands[first], site.operands[second]
    if type_of(a) != type_of(b) or ("matmul" in site.kind and not _fits(a, site.result)):
        return
    draft = site.draft()
    draft.with_operands({first: b.number, second: a.number})
    yield draft.change("swap", f"operands {first + 1} and {second + 1} exchanged")


def another(site: Site) -> Iterator[Change]:
    """Another value of the same dtype and shape in place of an operand."""
    if site.kind in PASSING or not site.is_floating:
        return
    for k, value in enumerate(site.operands):
        if value.sort != "tensor" or not is_floating(value.dtype) or _is_known(site, value):
            continue
        for other in _neighbours(site, value):
            draft = site.draft()
            draft.with_operands({k: other.number})
            what = site.source.described(other.number)
            yield draft.change("value", f"operand {k + 1} is {what} instead")


def _neighbours(site: Site, value: Value) -> list[Value]:
    """Other values of a value's type, the nearest ones first."""
    source = site.source
    own = {source.root(number) for number in (value.number, source.stands_for(value.number))}
    found: dict[int, Value] = {}
    for other in _outwards(source, value):
        root = source.root(other.number)
        computed_before = source.order[other.number] < site.index
        if root not in own and computed_before and not _is_known(site, other):
            found.setdefault(root, other)
        if len(found) == NEIGHBOURS:
            break
    return list(found.values())


def _outwards(source: Source, value: Value) -> Iterator[Value]:
    """Values of a value's type in both directions from it, the nearest ones first."""
    order = source.order
    alike = source.by_type[type_of(value)]
    here = order[value.number]
    middle = bisect(alike, here, key=lambda one: order[one.number])
    return merge(
        reversed(alike[:middle]), alike[middle:], key=lambda one: abs(order[one.number] - here)
    )


def _is_known(site: Site, value: Value) -> bool:
    """Whether a value is a constant or a weight, which have mutants of their own."""
    return (
        site.source.constant(value.number) is not None
        or site.source.weight(value.number) is not None
    )


def _fits(value: Value, result: Value) -> bool:
    return value.sort == "tensor" and type_of(value) == type_of(result)
