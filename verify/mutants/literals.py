"""Numbers that stand in the graph: epsilons, scales, fills of masks, tables, and whole numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from verify.graph.form import is_floating
from verify.mutants.change import PASSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array
    from verify.mutants.change import Change, Site

SMALL = 1e-3
"""Below this a number is an epsilon: what matters is its size, not a factor of two."""

LARGE = -1e3
"""Below this a number fills a mask."""

FILLS = (-1e4, 0.0)
"""Other fills: one that large scores outweigh, and none."""

SIZES = 4
"""Other sizes of the model that take a size's place in a scale."""

WHOLE = (
    "mo.add",
    "mo.sub",
    "mo.mul",
    "mo.div",
    "mo.mod",
    "mo.greater",
    "mo.greater_equal",
    "mo.equal",
    "mo.not_equal",
)
"""Kinds in which a whole number is part of a formula, not a shape or an axis."""

BASES = (0.9, 1.1)
"""Powers that make the table of another base: 10000 becomes 3981 or 25119."""


def numbers(site: Site) -> Iterator[Change]:
    """Another number in place of one that stands in the graph."""
    if site.kind in (*PASSING, "mo.constant", "mo.range"):
        return
    for k, value in enumerate(site.operands):
        constant = site.source.constant(value.number)
        if constant is None or not is_floating(value.dtype) or constant.size != 1:
            continue
        old = float(constant.item())
        for new, why in others(old, site.source.sizes):
            draft = site.draft()
            draft.with_operands({k: draft.filled(new, value)})
            yield draft.change(_kind(old), f"{new:.6g} in place of {old:.6g}{why}")


def attributes(site: Site) -> Iterator[Change]:
    """Another number in place of an attribute, such as the epsilon of a norm."""
    if site.kind == "mo.constant":
        return
    known = site.operation.attributes
    for name, attribute in known.items():
        is_number = isinstance(attribute, np.ndarray) and attribute.size == 1
        if not is_number or attribute.dtype.kind not in "fV":
            continue
        exact = known.get("exact", {})
        old = float(exact.get(name, attribute).item())
        for new, why in others(old, site.source.sizes):
            changed = np.full_like(attribute, new)
            precise = {**exact, name: np.full(attribute.shape, new)}
            draft = site.draft()
            draft.with_operands({}, **{name: changed, "exact": precise})
            yield draft.change("number", f"{name} {new:.6g} in place of {old:.6g}{why}")


def whole_numbers(site: Site) -> Iterator[Change]:
    """One more and one less, where its dtype holds it, if a whole number is part of a formula."""
    if site.kind not in WHOLE:
        return
    for k, value in enumerate(site.operands):
        constant = site.source.constant(value.number)
        if constant is None or constant.size != 1 or constant.dtype.kind not in "iu":
            continue
        old = int(constant.item())
        held = np.iinfo(constant.dtype)
        for new in (old + 1, old - 1):
            if not held.min <= new <= held.max:
                continue
            draft = site.draft()
            number = draft.constant(new, value.dtype)
            draft.with_operands({k: draft.make("mo.static.broadcast_to", (number,), value)})
            yield draft.change("number", f"{new} in place of {old}")


def others(old: float, sizes: tuple[int, ...]) -> list[tuple[float, str]]:
    """What may stand in place of a number by mistake, each with a remark.

    Args:
        old: the number.
        sizes: of the model.
    """
    if math.isnan(old):
        return []
    if old <= LARGE:
        return [(fill, "") for fill in FILLS if fill > old]
    if old == 0:
        return [(1.0, "")]
    if abs(old) < SMALL:
        return [(old * 10, ""), (old / 10, ""), (0.0, "")]
    found = [(old * 2, ""), (old / 2, ""), (-old, ""), (1.0, ""), (old * old, "")]
    found += [(math.copysign(math.sqrt(abs(old)), old), ""), *_by_size(old, sizes)]
    distinct: dict[float, str] = {}
    for new, why in found:
        if not any(math.isclose(new, one, rel_tol=1e-9) for one in (old, *distinct)):
            distinct[new] = why
    return list(distinct.items())


def _by_size(old: float, sizes: tuple[int, ...]) -> Iterator[tuple[float, str]]:
    """The same function of another size, where the number is one of a size of the model."""
    for power in (0.5, -0.5, 1.0, -1.0):
        size = abs(old) ** (1 / power)
        own = next((n for n in sizes if math.isclose(size, n, rel_tol=1e-6)), None)
        if own is not None:
            for other in [n for n in sizes if n != own][:SIZES]:
                yield math.copysign(other**power, old), f", as if {own} were {other}"
            return


def _kind(old: float) -> str:
    return "mask" if old <= LARGE else "number"


def tables(site: Site) -> Iterator[Change]:
    """Another table in place of one that stands in the graph, where it is read first."""
    for k, value in enumerate(site.operands):
        maker = site.source.makers.get(value.number)
        if maker is None or maker.kind != "mo.constant" or not _is_data(site, k):
            continue
        table = site.source.constant(value.number)
        if table is None or table.size < 2:
            continue
        for new, what in other_tables(table):
            draft = site.draft()
            draft.with_operands({k: draft.constant(new, value.dtype)})
            yield draft.change("table", f"the table {list(table.shape)} {what}")


def _is_data(site: Site, k: int) -> bool:
    """Whether an operand is what an operation works on, not a shape, an order or a place."""
    if site.kind in PASSING:
        return k == 0
    floating = is_floating(site.operands[k].dtype)
    return floating or (site.kind, k) in (("mo.gather", 1), ("mo.select", 0)) or site.kind in WHOLE


def other_tables(table: Array) -> list[tuple[Array, str]]:
    """What may stand in place of a table by mistake.

    Args:
        table: of at least two numbers.
    """
    longest = int(np.argmax(table.shape))
    found = [
        (np.flip(table, longest), "backwards"),
        (np.roll(table, 1, longest), "shifted by one"),
    ]
    if table.dtype == bool:
        found.append((~table, "negated"))
    elif is_floating(table.dtype.name):
        wide = table.astype(np.float64)
        found += [(wide * 2, "doubled"), (-wide, "with the other sign")]
        if (wide > 0).all():
            found += [(wide**power, f"to the power of {power:g}") for power in BASES]
    return [(new, what) for new, what in found if not np.array_equal(new, table)]
