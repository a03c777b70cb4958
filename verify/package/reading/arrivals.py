"""Where the values of a parameter came from, told from the numbers that arrived in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reference.trace import Array
    from verify.package.reading.numbered import Numbering

FIT = 1e-6
"""A constant factor and offset are named where they leave less of the values than this."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a parameter has of one tensor.

    Attributes:
        tensor: its name.
        how: in words: which of its elements, in which order.
        plain: whether it is the whole tensor, each element once and in its order.
    """

    tensor: str
    how: str
    plain: bool

    def __str__(self) -> str:
        return self.tensor if self.plain else f"{self.tensor} ({self.how})"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A parameter that the graph reads.

    Attributes:
        name: the parameter's.
        numbers: the elements that arrived, in its shape; -1 where one was computed.
        parts: by tensor, in the order in which they begin.
        computed: what was computed, in words; empty where every value arrived bit for bit.
        constant: whether it is the same whatever the checkpoint holds.
    """

    name: str
    numbers: Array
    parts: tuple[Part, ...]
    computed: str
    constant: bool

    @property
    def whence(self) -> str:
        """The tensors that it was filled from, in words."""
        return ", then ".join(map(str, self.parts))


def arrival(
    name: str,
    numbering: Numbering,
    numbered: list[Array],
    held: Array,
    values: Mapping[str, Array],
) -> Arrival:
    """Tell where a parameter's values came from.

    Args:
        name: the parameter's.
        numbering: of the checkpoint.
        numbered: what arrived of each numbered copy, `float64`.
        held: what arrived of the checkpoint itself, `float64`.
        values: of the checkpoint's tensors, flat, `float64`.
    """
    constant = all(np.array_equal(one, held, equal_nan=True) for one in numbered)
    numbers = numbering.numbers(numbered)
    numbers = np.where(_expected(numbers, numbering, values) == held, numbers, -1)
    missing = numbers < 0
    computed = ""
    if missing.any() and not constant:
        share = f"{np.count_nonzero(missing)} of {missing.size} of its values are in no tensor"
        whence = _computed(name, held[missing], held, values)
        computed = f"{share}: {whence}" if whence else f"{share}: they were computed"
    return Arrival(name, numbers, tuple(_parts(numbers, numbering)), computed, constant)


def _expected(numbers: Array, numbering: Numbering, values: Mapping[str, Array]) -> Array:
    """What the checkpoint holds at these elements, NaN where there is none."""
    flat = numbers.ravel()
    found = np.full(flat.shape, np.nan)
    at = np.searchsorted(numbering.firsts, flat, side="right") - 1
    for which in np.unique(at[flat >= 0]):
        mask = (at == which) & (flat >= 0)
        found[mask] = values[numbering.names[which]][flat[mask] - numbering.firsts[which]]
    return found.reshape(numbers.shape)


def _parts(numbers: Array, numbering: Numbering) -> Iterator[Part]:
    flat = numbers[numbers >= 0]
    at = np.searchsorted(numbering.firsts, flat, side="right") - 1
    tensors, begin = np.unique(at, return_index=True)
    for which in tensors[np.argsort(begin)]:
        places = flat[at == which] - numbering.firsts[which]
        shape = numbering.shapes[which]
        how = _how(places, shape)
        yield Part(numbering.names[which], how, how == PLAIN)


PLAIN = "in order"


def _how(places: Array, shape: tuple[int, ...]) -> str:
    """Which elements of a tensor these are, and in which order."""
    size = int(np.prod(shape, dtype=np.int64))
    distinct = np.unique(places)
    if distinct.size < places.size:
        return f"{distinct.size} of its {size} elements, some more than once"
    if distinct.size < size:
        return _some(places, shape, size)
    if np.array_equal(places, np.arange(size)):
        return PLAIN
    if len(shape) == 2 and np.array_equal(places, np.arange(size).reshape(shape).T.ravel()):
        return "transposed"
    if len(shape) == 2 and (np.diff(places.reshape(shape), axis=1) == 1).all():
        return "its rows in another order"
    return "its elements in another order"


def _some(places: Array, shape: tuple[int, ...], size: int) -> str:
    """Part of a tensor: its rows, if it is whole ones in their order."""
    first, last = int(places[0]), int(places[-1])
    width = size // shape[0]
    if np.array_equal(places, np.arange(first, last + 1)):
        if first % width == 0 and (last + 1) % width == 0:
            return f"its rows {first // width} to {last // width}, of {shape[0]}"
        return f"its elements {first} to {last}, of {size}"
    return f"{places.size} of its {size} elements"


def _computed(name: str, missing: Array, whole: Array, values: Mapping[str, Array]) -> str:
    """The tensor of which the values are a multiple, perhaps moved; empty if there is none."""
    for tensor in sorted(values, key=lambda one: (-common_end(name, one), one)):
        value = values[tensor]
        if value.size != missing.size or np.ptp(value) == 0:
            continue
        layouts = [value]
        if whole.ndim == 2 and whole.size == value.size:
            layouts.append(value.reshape(whole.shape[::-1]).T.ravel())
        for layout in layouts:
            said = _fitted(layout, missing)
            if said:
                return f"they are {tensor} {said}"
    return ""


def _fitted(value: Array, arrived: Array) -> str:
    """By which factor and offset one is the other, in words."""
    factor, offset = np.polyfit(value, arrived, 1)
    left = np.abs(factor * value + offset - arrived).max()
    if not left <= FIT * np.abs(arrived).max():
        return ""
    said = "" if abs(factor - 1) <= FIT else f"times {factor:.6g}"
    if abs(offset) > FIT * np.abs(arrived).max():
        said += f"{' ' if said else ''}plus {offset:.6g}"
    return said or "but for rounding"


def common_end(a: str, b: str) -> int:
    """How many parts, from the end, two dotted names have in common."""
    count = 0
    for one, other in zip(reversed(a.split(".")), reversed(b.split(".")), strict=False):
        if one != other:
            break
        count += 1
    return count
