"""The arrays of a specimen as lines of a file: drawn by a generator, written out, or packed."""

from __future__ import annotations

import base64
import textwrap
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.form import is_floating, numpy_dtype
from verify.reduce import sizes
from verify.reduce.source import given_name, weights_of
from verify.reduce.words import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array
    from verify.graph.form import Value
    from verify.reduce.specimen import Specimen

WIDTH = 92
"""Characters of a line of numbers."""

MOST_NUMBERS = 64
"""Numbers of an array that are written out; a larger one is packed into text."""


@dataclass(frozen=True, slots=True)
class Named:
    """An array with the names that the file has for it and its value in the graph.

    Attributes:
        name: of the array.
        value: what the graph declares.
        array: it.
    """

    name: str
    value: Value
    array: Array

    @property
    def held(self) -> str:
        """The dtype that NumPy holds it in."""
        dtype = self.value.dtype
        return "np.float32" if dtype == "bfloat16" else f"np.{dtype}"

    @property
    def buffer(self) -> str:
        """The array as MAX takes it."""
        if self.value.dtype == "bfloat16":
            return f"to_max({self.name})"
        return f"Buffer.from_numpy({self.name})"

    @property
    def wide(self) -> str:
        """The array in float64, if it holds floating-point numbers."""
        return f"{self.name}.astype(float)" if is_floating(self.value.dtype) else self.name


def named_arrays(specimen: Specimen) -> tuple[list[Named], list[Named]]:
    """The arrays of the inputs, A, B, ... for a, b, ..., and the weights."""
    graph = specimen.graph
    pairs = zip(graph.inputs, specimen.arrays, strict=True)
    arrays = [
        Named(given_name(index).upper(), value, array) for index, (value, array) in enumerate(pairs)
    ]
    weights = [
        Named(f"W{index}", value, specimen.weights[name])
        for index, (name, value) in enumerate(weights_of(graph).items())
    ]
    return arrays, weights


def made(specimen: Specimen, arrays: list[Named]) -> Iterator[str]:
    """Lines that make the arrays.

    Args:
        specimen: whose arrays they are.
        arrays: those that are wanted.
    """
    plain = is_plain(specimen)
    if plain:
        yield f"rng = np.random.default_rng({sizes.SEED})"
    for one in arrays:
        yield f"{one.name} = {_drawing(one) if plain else _written(one)}"


def is_plain(specimen: Specimen) -> bool:
    """Whether its arrays are what one line of NumPy draws for each."""
    own, drawn = named_arrays(specimen), named_arrays(sizes.plain(specimen))
    return all(
        np.array_equal(one.array, other.array)
        for group, others in zip(own, drawn, strict=True)
        for one, other in zip(group, others, strict=True)
    )


def _drawing(one: Named) -> str:
    """How `sizes.drawn` draws an array; one in bfloat16 is held as float32 here."""
    shape = tuple(one.array.shape)
    dtype = one.value.dtype
    if dtype == "bool":
        return f"rng.random({shape}) < 0.5"
    if not is_floating(dtype):
        return f"rng.integers(0, {sizes.largest(one.array) + 1}, {shape}).astype({one.held})"
    if numpy_dtype(dtype).itemsize < 4:
        n = sizes.SIXTEENTHS
        return f"(rng.integers(-{n}, {n + 1}, {shape}) / {n}).astype({one.held})"
    return f"rng.standard_normal({shape}).astype({one.held})"


def _written(one: Named) -> str:
    """An array, written out or packed."""
    held = one.array.astype(np.float32) if one.value.dtype == "bfloat16" else one.array
    shape = tuple(held.shape)
    if held.size <= MOST_NUMBERS:
        numbers = ", ".join(map(_shortest, held.ravel()))
        lines = textwrap.wrap(f"np.array([{numbers}], {one.held}).reshape({shape})", WIDTH)
        return "\n    ".join(lines)
    packed = base64.b85encode(zlib.compress(np.ascontiguousarray(held).tobytes(), 9)).decode()
    text = "\n".join(f'    "{part}"' for part in textwrap.wrap(packed, WIDTH))
    made = f"zlib.decompress(base64.b85decode(\n{text}\n))"
    return f"np.frombuffer({made}, {one.held}).reshape({shape})"


def _shortest(number: Any) -> str:
    """A number in as few digits as tell it from its neighbours in its dtype."""
    if number.dtype.kind == "f" and np.isfinite(number):
        return np.format_float_positional(number, unique=True, trim="-", min_digits=1)
    return literal(number)
