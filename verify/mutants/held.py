"""Weights: another one of the same shape, transposed, rows exchanged, held in fewer bits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verify.graph.form import is_floating
from verify.mutants import meanings
from verify.mutants.change import type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.graph.form import Operation, Value
    from verify.mutants.change import Change, Site


def weights(site: Site) -> Iterator[Change]:
    """Another weight, or the same one laid out otherwise, where it is read first."""
    for k, value in enumerate(site.operands):
        maker = site.source.makers.get(value.number)
        if maker is not None and maker.kind == "mo.constant.external":
            yield from _exchanged(site, k, maker)
            yield from _laid_out(site, k, value, maker.attributes["name"])


def _exchanged(site: Site, k: int, own: Operation) -> Iterator[Change]:
    name = own.attributes["name"]
    for other in alike(name, own.results[0], site.source.weights):
        operation = site.source.weights[other]
        draft = site.draft()
        kind, attributes = operation.kind, operation.attributes
        draft.with_operands({k: draft.make(kind, (), operation.results[0], **attributes)})
        yield draft.change("weight", f"{other} in place of {name}")


def _laid_out(site: Site, k: int, value: Value, name: str) -> Iterator[Change]:
    shape = value.shape or ()
    if len(shape) == 2 and shape[0] == shape[1]:
        draft = site.draft()
        order = draft.constant([1, 0])
        draft.with_operands({k: draft.make("mo.transpose", (value.number, order), value)})
        yield draft.change("weight", f"{name} transposed")
    if is_floating(value.dtype):
        for axis in range(len(shape)):
            draft = site.draft()
            changed = draft.custom(meanings.FIRST_LAST, (value.number,), value, axis=axis)
            draft.with_operands({k: changed})
            what = f"{name} with the first and the last place of axis {axis} exchanged"
            yield draft.change("weight", what)


def alike(name: str, value: Value, weights: dict[str, Operation]) -> list[str]:
    """Other weights of the same dtype and shape: of the neighbouring layer, and of the same one.

    Args:
        name: of a weight.
        value: what it is declared as.
        weights: all of them, in the order in which they are read.
    """
    same = [
        other
        for other, operation in weights.items()
        if other != name and type_of(operation.results[0]) == type_of(value)
    ]
    layers = [other for other in same if _pattern(other) == _pattern(name)]
    own = [other for other in same if other not in layers]
    after = [other for other in layers if _numbers(other) > _numbers(name)]
    near = [other for other in own if _numbers(other) == _numbers(name)] or own
    return [*(after or layers[::-1])[:1], *near[:1]]


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
