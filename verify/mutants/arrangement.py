"""Arrangement: axes in another order, parts exchanged or interleaved, places shifted by one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from verify.graph.form import Size, is_floating
from verify.mutants import meanings
from verify.mutants.change import type_of
from verify.mutants.grouping import Group, groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from verify.graph.form import Value
    from verify.mutants.change import Change, Draft, Site

RESHAPES = ("mo.reshape", "mo.static.reshape")


def permutations(site: Site) -> Iterator[Change]:
    """Axes in another order; where the shape would be another, the elements are laid out anew.

    That is what a `reshape` in place of a `transpose` does, or a weight read in the other layout.
    """
    if site.kind != "mo.transpose" or (order := _integers(site, 1)) is None:
        return
    shape = site.operands[0].shape or ()
    for other in _other_orders(order):
        draft = site.draft()
        made = [shape[axis] for axis in other]
        number = site.operation.operands[0]
        if other != sorted(other):
            axes = draft.constant(other)
            number = draft.make("mo.transpose", (number, axes), (site.result.dtype, made))
        draft.result("mo.static.reshape", (number,))
        how = "not transposed" if other == sorted(other) else f"axes {other} in place of {order}"
        yield draft.change("permutation", how)


def _other_orders(order: list[int]) -> list[list[int]]:
    """No transposition, and each pair of neighbouring axes exchanged."""
    swapped = [[*order[:i], b, a, *order[i + 2 :]] for i, (a, b) in enumerate(pairwise(order))]
    distinct = {tuple(other): None for other in (sorted(order), *swapped)}
    return [list(other) for other in distinct if list(other) != order]


def regrouped(site: Site) -> Iterator[Change]:
    """An axis split or merged the other way round: heads interleaved, halves as pairs."""
    if site.kind not in RESHAPES:
        return
    before, after = site.operands[0].shape, site.result.shape
    for group in groups(before or (), after or ()):
        if group.is_split:
            yield _split_otherwise(site, group)
            yield _first_and_last(site, group)
        else:
            yield _merged_otherwise(site, group)


def _split_otherwise(site: Site, group: Group) -> Change:
    """`[a b]` read as `[b, a]`, then turned into `[a, b]`."""
    shape = list(site.result.shape or ())
    first, second = group.axes
    shape[first], shape[second] = shape[second], shape[first]
    draft = site.draft()
    number = draft.make(
        "mo.static.reshape", site.operation.operands[:1], (site.result.dtype, shape)
    )
    draft.result("mo.transpose", (number, draft.constant(_turned(len(shape), first, second))))
    return draft.change("grouping", f"axes {first} and {second} split in the other order")


def _merged_otherwise(site: Site, group: Group) -> Change:
    """`[a, b]` turned into `[b, a]`, then read as one axis."""
    operand = site.operands[0]
    shape = list(operand.shape or ())
    first, second = group.axes
    shape[first], shape[second] = shape[second], shape[first]
    draft = site.draft()
    order = draft.constant(_turned(len(shape), first, second))
    number = draft.make("mo.transpose", (operand.number, order), (operand.dtype, shape))
    draft.result("mo.static.reshape", (number,))
    return draft.change("grouping", f"axes {first} and {second} merged in the other order")


def _first_and_last(site: Site, group: Group) -> Change:
    draft = site.draft()
    axis = group.axes[0]
    draft.result("mo.custom", (draft.before(),), symbol=meanings.FIRST_LAST, axis=axis)
    return draft.change("order", f"the first and the last of axis {axis} exchanged")


def _turned(rank: int, first: int, second: int) -> list[int]:
    order = list(range(rank))
    order[first], order[second] = second, first
    return order


def joined(site: Site) -> Iterator[Change]:
    """Parts one after another in the reverse order, or taking turns."""
    if site.kind != "mo.concat" or len(site.operands) < 2:
        return
    draft = site.draft()
    draft.result(site.kind, site.operation.operands[::-1], **site.operation.attributes)
    yield draft.change("order", "the parts in reverse order")
    axis = _axis(site)
    part = (site.operands[0].shape or ())[axis]
    if len({type_of(value) for value in site.operands}) == 1 and _many(part):
        draft = site.draft()
        whole = draft.before()
        _taking_turns(draft, site.result, whole, axis, (len(site.operands), part))
        yield draft.change("order", "the parts take turns, element by element")


def parted(site: Site) -> Iterator[Change]:
    """Parts in the reverse order, or made of every second element and the like."""
    results = site.operation.results
    if site.kind != "mo.split" or len(results) < 2:
        return
    if type_of(results[0]) != type_of(results[-1]):
        return
    yield from _in_reverse(site)
    axis, whole = _axis(site), site.operands[0]
    part = (results[0].shape or ())[axis]
    if len({type_of(value) for value in results}) == 1 and _many(part):
        draft = site.draft()
        shape = list(whole.shape or ())
        wide = [*shape[:axis], part, len(results), *shape[axis + 1 :]]
        turned = _turned(len(wide), axis, axis + 1)
        number = draft.make("mo.static.reshape", (whole.number,), (whole.dtype, wide))
        wide = [wide[k] for k in turned]
        order = draft.constant(turned)
        number = draft.make("mo.transpose", (number, order), (whole.dtype, wide))
        draft.with_operands({0: draft.make("mo.static.reshape", (number,), whole)})
        yield draft.change("order", "elements go to the parts in turn")


def _in_reverse(site: Site) -> Iterator[Change]:
    operation = site.operation
    draft = site.draft()
    draft.with_results([*operation.results[::-1]])
    yield draft.change("order", "the parts in reverse order")


def _taking_turns(
    draft: Draft, result: Value, whole: int, axis: int, parts: tuple[Size, Size]
) -> None:
    shape = list(result.shape or ())
    wide = [*shape[:axis], *parts, *shape[axis + 1 :]]
    turned = _turned(len(wide), axis, axis + 1)
    number = draft.make("mo.static.reshape", (whole,), (result.dtype, wide))
    order = draft.constant(turned)
    number = draft.make("mo.transpose", (number, order), (result.dtype, [wide[k] for k in turned]))
    draft.result("mo.static.reshape", (number,))


def slices(site: Site) -> Iterator[Change]:
    """A slice that begins one earlier or later, that is another part, or in wider steps."""
    if site.kind != "mo.slice":
        return
    start, stop, step = (site.source.integers(site.operation.operands[k]) for k in (1, 2, 3))
    if start is None or stop is None or step is None:
        return
    shape = site.operands[0].shape or ()
    for axis, (a, b, c, n) in enumerate(zip(start, stop, step, shape, strict=True)):
        bounds = _bounds(a, b, c, n)
        if bounds is None:
            continue
        for first, stride, what in _elsewhere(*bounds):
            draft = site.draft()
            count = bounds[1] - bounds[0]
            last = first + stride * (count - 1) + 1
            changed = [
                _with(start, axis, first),
                _with(stop, axis, last),
                _with(step, axis, stride),
            ]
            made = {k + 1: draft.sizes(one) for k, one in enumerate(changed)}
            draft.with_operands(made)
            where = f"{first}:{last}" + (f":{stride}" if stride > 1 else "")
            found = f"{where} of axis {axis} in place of {bounds[0]}:{bounds[1]}"
            yield draft.change("slice", f"{found}, {what}")


def _bounds(start: Size, stop: Size, step: Size, size: Size) -> tuple[int, int, int] | None:
    """Start, stop and size of a slice that leaves something out; None if that is not known."""
    if not (isinstance(start, int) and isinstance(stop, int) and isinstance(size, int)):
        return None
    first, last, _ = slice(start, stop).indices(size)
    return (first, last, size) if step == 1 and 0 < last - first < size else None


def _elsewhere(start: int, stop: int, size: int) -> Iterator[tuple[int, int, str]]:
    """Start and stride of as many elements elsewhere."""
    count = stop - start
    if stop < size:
        yield start + 1, 1, "one later"
    if start:
        yield start - 1, 1, "one earlier"
    for first in (start - count, start + count):
        if 0 <= first <= size - count:
            yield first, 1, "another part"
    stride = size // count
    if count > 1 and stride > 1 and (start // count) + stride * (count - 1) < size:
        yield start // count, stride, f"in steps of {stride}"


def _with(sizes: Sequence[Size], axis: int, size: int) -> tuple[Size, ...]:
    return (*sizes[:axis], size, *sizes[axis + 1 :])


def indices(site: Site) -> Iterator[Change]:
    """The next row, the row before, and the one that the place before asks for."""
    if site.kind != "mo.gather":
        return
    table, places = site.operands
    size = (table.shape or ())[_axis(site)]
    for step in (1, -1) if isinstance(size, int) else ():
        draft = site.draft()
        moved = draft.make("mo.add", (places.number, draft.constant(step, places.dtype)), places)
        wrapped = draft.make("mo.mod", (moved, draft.constant(size, places.dtype)), places)
        draft.with_operands({1: wrapped})
        yield draft.change("index", f"each index {step:+d}")
    if places.shape and places.shape[-1] != 1:
        draft = site.draft()
        draft.with_operands(
            {1: draft.custom(meanings.ROLLED, (places.number,), places, axis=-1, step=1)}
        )
        yield draft.change("index", "the index of the place before")


def ranges(site: Site) -> Iterator[Change]:
    """Positions that begin one later or earlier, or run backwards."""
    if site.kind != "mo.range":
        return
    for kind, found in (("mo.add", "begins one later"), ("mo.sub", "begins one earlier")):
        draft = site.draft()
        draft.result(kind, (draft.before(), _one(draft, site.result.dtype)))
        yield draft.change("position", found)
    draft = site.draft()
    draft.result("mo.custom", (draft.before(),), symbol=meanings.BACKWARDS, axis=0)
    yield draft.change("position", "runs backwards")


def _one(draft: Draft, dtype: str) -> int:
    return draft.constant(1.0 if is_floating(dtype) else 1, dtype)


def repeats(site: Site) -> Iterator[Change]:
    """Each row so many times in place of all of them so many times, and the reverse."""
    symbol = site.operation.attributes.get("symbol")
    if symbol == "repeat_interleave":
        draft = site.draft()
        operands = site.operation.operands
        draft.result("mo.custom", operands, symbol=meanings.TILED)
        yield draft.change("order", "all rows in turn, not each several times")
    if site.kind == "mo.tile":
        draft = site.draft()
        draft.result("mo.custom", site.operation.operands, symbol=meanings.EACH_REPEATED)
        yield draft.change("order", "each row several times, not all in turn")


def _axis(site: Site) -> int:
    axis: int = site.operation.attributes["axis"]
    return axis % len(site.operands[0].shape or ())


def _integers(site: Site, k: int) -> list[int] | None:
    """An operand as a list of integers, if it stands in the graph."""
    found = site.source.integers(site.operation.operands[k])
    if found is None or not all(isinstance(one, int) for one in found):
        return None
    return [int(str(one)) for one in found]


def _many(size: Size) -> bool:
    return not isinstance(size, int) or size > 1
