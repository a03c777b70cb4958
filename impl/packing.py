"""Weights in the layout of the Mojo kernels, in memory that a core reads in whole cache lines.

A linear layer's `[out, in]` becomes panels `[ceil(out / 32), in, 32]`: 32 output features side by
side, so that one pass over memory serves decode and prefill alike (impl/kernels/linear.mojo). Where
the weights allow it, and nearly all do, they can take fewer bits than their type and lose none
(impl/kernels/narrow.mojo); impl/mojo_program.py says for which models that pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from impl.weights import CONV1D

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy.typing as npt

    Array = npt.NDArray[Any]

PANEL = 32
"""Output features of a panel, as in impl/kernels/linear.mojo."""

STEPS = 4
"""Inputs whose narrow weights lie together, as in impl/kernels/narrow.mojo."""

GROUP = {"uint32": STEPS * PANEL * 28 // 32, "uint16": STEPS * PANEL * 12 // 16}
"""Words of four steps, by their dtype: 112 of 32 bits hold 128 weights of 28, 96 of 16 bits 128 of
12."""

STORED = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}
"""What holds a weight that is not narrow."""

CACHE = "-cache"
"""Ends a dtype that keys and values are rounded to as well, besides all that `PRODUCTS` says:
`bfloat16-cache`."""

PRODUCTS = ("-products", CACHE)
"""End a dtype that activations are rounded to as well where they meet the weights."""

TERMS_HOLD = 2.0**-50, 2.0**55
"""Between these the largest number of a row has to lie that three bfloat16 terms hold, so that
products of two such rows are finite and their corrections above 2^-126: as `SMALLEST` and `LARGEST`
of impl/kernels/tiles.mojo."""

EXPONENTS = 16
"""Powers of 2 that narrow weights of one panel span."""

FIRST_EXPONENT = 112
"""What the smallest of them is stored as: the largest is then that of 1.0 to 2.0."""

MOST_PATCHES = 1 / 512
"""Share of the weights that may lie outside; with more of them the plain layout is faster."""

FEW = 64
"""Patches that a small matrix has room for, however few its weights are."""

AT_ONCE = 64 * PANEL
"""Rows that are converted together, so that loading takes little more than what it fills."""

ALIGNMENT = 64
"""Bytes of a cache line, and of a vector of AVX-512."""

PAGE = 1 << 21
"""Bytes of a huge page."""


class TooWideError(ValueError):
    """Weights of which too many lie outside 16 powers of 2, or that would not come back exactly."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One matrix of every layer, as the kernels read it.

    Attributes:
        dtype: what MAX calls the words: `float32`, `bfloat16` or `int8`, or `uint32` and `uint16`
            for float32 in 28 and bfloat16 in 12 bits.
        words: `[layers, panels, in, 32]`, or narrow `[layers, panels, ceil(in / 4), GROUP]`.
        scale: float32 `[layers, out]`, what a word counts; `[1, 1]` where it counts as it is.
        patches: int32; where each panel's begin, then (place, bits) of each, then room for more,
            so that other weights need no other program. `[1]` where words are not narrow.
    """

    dtype: str
    words: Array
    scale: Array
    patches: Array


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros that begin at a cache line, or at a huge page where they are large."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    alignment = PAGE if size >= PAGE else ALIGNMENT
    raw = np.zeros(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size].view(dtype).reshape(shape)


def packed(matrices: Sequence[Array], dtype: str, *, narrow: bool) -> Packed:
    """One matrix of every layer in the kernels' layout.

    Args:
        matrices: float32 `[out, in]` of each layer, all of one shape; any strides, and no view is
            copied as a whole.
        dtype: `float32`, `bfloat16` (rounded to nearest, ties to even) or `int8` (see `quantised`).
        narrow: whether in fewer bits, of which none is lost; 8 bits stay as they are.

    Raises:
        TooWideError: if narrow weights are asked for, and cannot be had.
    """
    if narrow and dtype != "int8":
        return _narrow(matrices, dtype)
    (outputs, depth), count = matrices[0].shape, len(matrices)
    words = aligned((count, -(-outputs // PANEL), depth, PANEL), STORED[dtype])
    scale = aligned((count, outputs) if dtype == "int8" else (1, 1), np.float32)
    scale[:] = 1
    for layer, weight in enumerate(matrices):
        if dtype == "int8":
            scale[layer] = scales(weight)
        for start in range(0, outputs, AT_ONCE):
            place = slice(start, min(start + AT_ONCE, outputs))
            rows = weight[place]
            if dtype == "int8":
                rows = integers(rows, scale[layer, place])
            elif dtype == "bfloat16":
                rows = bfloat16_bits(rows)
            for first in range(0, len(rows), PANEL):
                panel = rows[first : first + PANEL]
                words[layer, (start + first) // PANEL, :, : len(panel)] = panel.T
    return Packed(dtype, words, scale, np.zeros(1, np.int32))


def _narrow(matrices: Sequence[Array], dtype: str) -> Packed:
    (outputs, depth), count = matrices[0].shape, len(matrices)
    shape = count, -(-outputs // PANEL), -(-depth // STEPS)
    stored = "uint32" if dtype == "float32" else "uint16"
    words = aligned((*shape, GROUP[stored]), stored)
    scale = aligned((count, outputs), np.float32)
    patches, starts = [], [0]
    most = max(FEW, int(MOST_PATCHES * outputs * depth * count))
    for layer, weight in enumerate(matrices):
        for panel in range(shape[1]):
            place = slice(panel * PANEL, min((panel + 1) * PANEL, outputs))
            found = _narrow_panel(weight[place], words[layer, panel])
            scale[layer, place] = found[0]
            patches.append(found[1])
            starts.append(starts[-1] + len(found[1]))
        if starts[-1] > most:
            raise TooWideError(f"more than one weight in {1 / MOST_PATCHES:.0f} lies outside")
    held = aligned((len(starts) + 2 * most,), np.int32)
    held[: len(starts)] = starts
    held[len(starts) : len(starts) + 2 * starts[-1]] = np.concatenate(patches).reshape(-1)
    return Packed(stored, words, scale, held)


def _narrow_panel(rows: Array, words: Array) -> tuple[np.float32, Array]:
    """Fill one panel's words; return its scale, and its patches int32 `[n, 2]`: place and bits.

    A panel of the weights 0.75, 1.5, 0 and -3 has the exponents 126, 127, 0 and 128. Of all windows
    of 16 that hold 126 to 128 the first begins at 113: the scale is 2^(113 - 112) = 2, and what is
    stored is w / 2, so that exponents become 112 + 13, 14 and 15, of which 13, 14 and 15 are kept
    (see impl/kernels/narrow.mojo). 0 has no such exponent: it is a patch, whole and divided by 2.

    Args:
        rows: float32 `[up to 32, in]`.
        words: `[ceil(in / 4), 112]` uint32 or `[ceil(in / 4), 96]` uint16.

    Raises:
        TooWideError: if a patch divided by the scale does not come back exactly.
    """
    count, depth = rows.shape
    panel = np.zeros((len(words) * STEPS, PANEL), np.float32)
    panel[:depth, :count] = rows.T
    if words.dtype == np.uint16:
        panel = (bfloat16_bits(panel).astype(np.uint32) << 16).view(np.float32)
    bits = panel.view(np.uint32)
    exponents = (bits >> 23).astype(np.uint8)  # the sign falls off
    window = _window(exponents[:depth, :count])
    scale = np.float32(2.0 ** (window - FIRST_EXPONENT))
    _interleave(_shortened(bits, window), words)
    outside = exponents - np.uint8(window) >= EXPONENTS  # below the window too: that wraps around
    outside[depth:] = outside[:, count:] = False  # padding may be any number
    return scale, _patches(panel, outside, scale)


def _shortened(bits: Array, window: int) -> Array:
    """Sign, 4 bits of exponent and 23 of fraction, as the upper 28 bits of uint32."""
    counted = bits - np.uint32(window << 23)  # exponents from the window's first on; the sign stays
    return counted << 4 & 0x7FFFFFF0 | bits & 0x80000000


def _patches(panel: Array, outside: Array, scale: np.float32) -> Array:
    """Place and bits of the weights outside, divided by the scale as all others are."""
    places = np.flatnonzero(outside)
    values = panel.reshape(-1)[places]
    stored = values / scale
    if not np.array_equal(stored * scale, values):
        raise TooWideError("a weight is too small or too large to come back exactly")
    return np.stack([places.astype(np.int32), stored.view(np.int32)], axis=1)


def _window(exponents: Array) -> int:
    """The first of 16 neighbouring exponents that most of the weights have."""
    below = np.concatenate([[0], np.bincount(exponents.reshape(-1), minlength=256).cumsum()])
    inside = below[EXPONENTS:] - below[:-EXPONENTS]  # by the window's first exponent
    return int(np.clip(inside.argmax(), 1, 254 - EXPONENTS))


def _interleave(short: Array, words: Array) -> None:
    """Uint32 `[steps, 32]`, of which the upper 28 or 12 bits count, to words of four steps.

    The four steps are 8 vectors of 28 bits (two for each step), or 4 vectors of 12. All but the
    last have a word each: the sign, a nibble of the last one, then the other bits. The first word's
    nibble is the last one's lowest 3 bits and its sign, the second one's its uppermost 4 bits but
    the sign, and so on: 7 nibbles are 28 bits, 3 are 12.
    """
    if words.dtype == np.uint32:
        vectors = short.reshape(-1, 8, 16)
    else:  # column c beside column 16 + c, so that 32 bits hold one of each half
        halves = (short >> 16).astype(np.uint16).reshape(-1, STEPS, 2, 16)
        vectors = halves.swapaxes(2, 3).reshape(-1, STEPS, PANEL)
    bits = 8 * words.dtype.itemsize
    sign, nibble = words.dtype.type(1 << bits - 1), words.dtype.type(15 << bits - 5)
    unsigned = (vectors & ~sign) >> 4
    last, its_sign = unsigned[:, -1], vectors[:, -1] >> bits - 1
    spread = last & ~words.dtype.type(7) | (last & 7) << bits - 4 | its_sign << bits - 5
    shifts = 4 * np.arange(vectors.shape[1] - 1, dtype=words.dtype)[:, None]
    nibbles = spread[:, None] << shifts & nibble
    words[:] = (vectors[:, :-1] & sign | unsigned[:, :-1] | nibbles).reshape(words.shape)


def bfloat16_bits(array: Array) -> Array:
    """float32 rounded to the nearest bfloat16, ties to even, as its uint16 bits."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def quantised(weight: Array) -> tuple[Array, Array]:
    """A weight `[out, in]` in 8 bits: `weight ~ integers * scale[:, None]`.

    Each output has its own scale, its largest weight / 127, so that no value is clipped.

    Returns:
        int8 `[out, in]` in -127 to 127, and float32 `[out]`.
    """
    scale = scales(weight)
    return integers(weight, scale), scale


def scales(weight: Array) -> Array:
    """What one step of 8 bits is worth, for each output: float32 `[out]`."""
    largest = np.maximum(weight.max(axis=1), -weight.min(axis=1))
    return np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)


def integers(weight: Array, scale: Array) -> Array:
    """Weights in steps of `scale`, rounded: int8."""
    return np.rint(weight / scale[:, None]).astype(np.int8)


def weights_of(dtype: str) -> str:
    """What weights are held in: `bfloat16` for `bfloat16-products` and `bfloat16-cache`."""
    return dtype.partition("-")[0]


def cache_of(dtype: str) -> str:
    """What keys and values are held in: `bfloat16` for `bfloat16-cache`, else `float32`."""
    return weights_of(dtype) if dtype.endswith(CACHE) else "float32"


def held_by_terms(weights: Mapping[str, Array]) -> bool:
    """Whether three bfloat16 terms hold every matrix, as impl/kernels/tiles.mojo multiplies them.

    Positions are added, not multiplied.

    The largest number of each output has to lie within `TERMS_HOLD`, or all of them to be zero.

    Args:
        weights: float32, matrices `[out, in]`.
    """
    least, most = TERMS_HOLD
    for name, array in weights.items():
        if array.ndim == 2 and not name.endswith("wpe.weight"):
            largest = np.maximum(array.max(axis=1), -array.min(axis=1))
            if not np.all((largest == 0) | (largest >= least) & (largest <= most)):
                return False
    return True


def held_state(state: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """What an engine of `dtype` holds of a Hugging Face state dict, as float32.

    Those of `bfloat16-products` and `bfloat16-cache` hold what one of `bfloat16` does.

    Biases, LayerNorms and positions are held as they are, the matrices rounded; a Conv1D's
    `[in, out]` has its scales by its columns, as its transpose by rows.
    """
    return {
        name: array if array.ndim < 2 or name.endswith("wpe.weight") else _held(name, array, dtype)
        for name, array in state.items()
    }


def _held(name: str, array: Array, dtype: str) -> Array:
    if weights_of(dtype) == "bfloat16":
        return (bfloat16_bits(array).astype(np.uint32) << 16).view(np.float32)
    if dtype == "int8":
        conv1d = name.endswith(CONV1D)
        steps, scale = quantised(array.T if conv1d else array)
        values: Array = steps * scale[:, None]
        return values.T if conv1d else values
    return array
