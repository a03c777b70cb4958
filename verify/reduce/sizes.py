"""Other arrays and other sizes for a specimen: plain random numbers, fewer of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from verify.graph.form import is_floating, numpy_dtype
from verify.reduce.edits import Edit
from verify.reduce.known import symbols_in
from verify.reduce.source import weights_of
from verify.reduce.specimen import bound, defined, resized

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array
    from verify.graph.form import Size, Value
    from verify.reduce.specimen import Specimen

SMALL = (1, 2, 3, 4, 8, 16)
"""What sizes are tried as."""

LARGER = (8, 32)
"""Factors by which sizes are made larger."""

SEED = 0

SIXTEENTHS = 16
"""Numbers of 16 and fewer bits are drawn as whole numbers over this: all of them hold those."""


def plain(specimen: Specimen) -> Specimen:
    """The same graph on random numbers that one line of NumPy draws for each array.

    They are drawn in the order of the inputs, then of the weights by name, from one generator.
    """
    rng = np.random.default_rng(SEED)
    arrays = tuple(
        drawn(rng, value, array)
        for value, array in zip(specimen.graph.inputs, specimen.arrays, strict=True)
    )
    declared = weights_of(specimen.graph)
    weights = {name: drawn(rng, value, specimen.weights[name]) for name, value in declared.items()}
    return replace(specimen, arrays=arrays, weights=weights)


def drawn(rng: np.random.Generator, value: Value, like: Array) -> Array:
    """A random array of the same dtype and shape; integers as large as those at most."""
    dtype = numpy_dtype(value.dtype)
    if value.dtype == "bool":
        return rng.random(like.shape) < 0.5
    if not is_floating(value.dtype):
        return rng.integers(0, largest(like) + 1, like.shape).astype(dtype)
    if dtype.itemsize < 4:
        whole = rng.integers(-SIXTEENTHS, SIXTEENTHS + 1, like.shape)
        return (whole / SIXTEENTHS).astype(dtype)
    return rng.standard_normal(like.shape).astype(dtype)


def largest(array: Array) -> int:
    """The largest number of an array of integers, and 0 at least."""
    return max(0, int(array.max(initial=0)))


def resizings(specimen: Specimen) -> list[Edit]:
    """Smaller sizes, each by itself."""
    edits = []
    for symbol, number in specimen.sizes.items():
        edits += [
            Edit(symbol, partial(shortened, symbol=symbol, number=n)) for n in SMALL if n < number
        ]
    for number in numbers_in(specimen):
        for other in (n for n in SMALL if n < number):
            edits.append(Edit(str(number), partial(exactly, number=number, other=other)))
            edits.append(Edit(str(number), partial(scaled, number=number, other=other)))
    return edits


def enlargings(specimen: Specimen) -> list[Edit]:
    """Larger sizes, each by itself."""
    edits = []
    for factor in LARGER:
        edits += [
            Edit(symbol, partial(shortened, symbol=symbol, number=factor * number))
            for symbol, number in specimen.sizes.items()
        ]
        for number in numbers_in(specimen):
            edits.append(Edit(str(number), partial(exactly, number=number, other=factor * number)))
            edits.append(Edit(str(number), partial(scaled, number=number, other=factor * number)))
    return edits


def bindings(specimen: Specimen) -> list[Edit]:
    """Numbers in place of symbols, each by itself."""
    return [Edit(symbol, partial(static, symbol=symbol)) for symbol in specimen.sizes]


def shortened(specimen: Specimen, symbol: str, number: int) -> Specimen:
    """A symbol becomes another number: all arrays with such an axis end there, or are repeated."""

    def resized(value: Value, array: Array) -> Array:
        for axis, size in enumerate(value.shape or ()):
            if size == symbol:
                array = _of_length(array, axis, number)
        return np.ascontiguousarray(array)

    pairs = zip(specimen.graph.inputs, specimen.arrays, strict=True)
    return replace(specimen, arrays=tuple(resized(value, array) for value, array in pairs))


def _of_length(array: Array, axis: int, length: int) -> Array:
    """An array that ends there, or begins again until it does."""
    return np.take(array, np.arange(length) % array.shape[axis], axis=axis)


def numbers_in(specimen: Specimen) -> list[int]:
    """The numbers above 1 among the sizes of a graph's values, the largest first."""
    shapes = (value.shape or () for value in defined(specimen.graph).values())
    return sorted({s for shape in shapes for s in shape if isinstance(s, int) and s > 1})[::-1]


def scaled(specimen: Specimen, number: int, other: int) -> Specimen:
    """A number among the sizes becomes another one, and its multiples those of the other."""

    def change(size: Size) -> Size:
        if isinstance(size, int) and size and size % number == 0:
            return size // number * other
        return size

    return _changed(specimen, change)


def exactly(specimen: Specimen, number: int, other: int) -> Specimen:
    """A number among the sizes becomes another one; its multiples stay."""
    return _changed(specimen, lambda size: other if size == number else size)


def _changed(specimen: Specimen, change: Callable[[Size], Size]) -> Specimen:
    graph = resized(specimen.graph, change)
    pairs = zip(graph.inputs, specimen.graph.inputs, specimen.arrays, strict=True)
    arrays = tuple(_fitting(array, new, old) for new, old, array in pairs)
    before, after = weights_of(specimen.graph), weights_of(graph)
    weights = {
        name: _fitting(specimen.weights[name], value, before[name]) for name, value in after.items()
    }
    return replace(specimen, graph=graph, arrays=arrays, weights=weights)


def _fitting(array: Array, new: Value, old: Value) -> Array:
    """The array repeated and cut until it has the new declared sizes."""
    for axis, (size, before) in enumerate(zip(new.shape or (), old.shape or (), strict=True)):
        if size != before and isinstance(size, int):
            array = _of_length(array, axis, size)
    return np.ascontiguousarray(array)


def static(specimen: Specimen, symbol: str) -> Specimen:
    """A symbol becomes the number that it is.

    Raises:
        LookupError: if there is none of that name.
    """
    return bound(specimen, {symbol: specimen.sizes[symbol]})


def symbols_of(specimen: Specimen) -> list[str]:
    """The symbols in the shapes of a graph's values."""
    shapes = (value.shape or () for value in defined(specimen.graph).values())
    return sorted({symbol for shape in shapes for size in shape for symbol in symbols_in(size)})
