"""Weights in the layout of the Mojo kernels, in memory that a core reads in whole cache lines.

A linear layer's `[out, in]` becomes panels `[ceil(out / 32), in, 32]`: 32 output features side by
side, so that one pass over memory serves decode and prefill alike (impl/kernels/linear.mojo).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from impl.weights import CONV1D

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Convert = Callable[[Array, slice], Array]

PANEL = 32
"""Output features of a panel, as in impl/kernels/linear.mojo."""

AT_ONCE = 64 * PANEL
"""Rows that are converted together, so that loading takes little more than what it fills."""

ALIGNMENT = 64
"""Bytes of a cache line, and of a vector of AVX-512."""

PAGE = 1 << 21
"""Bytes of a huge page."""


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros that begin at a cache line, or at a huge page where they are large."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    alignment = PAGE if size >= PAGE else ALIGNMENT
    raw = np.zeros(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size].view(dtype).reshape(shape)


def panels(
    weight: Array, dtype: npt.DTypeLike = np.float32, convert: Convert = lambda rows, _: rows
) -> Array:
    """A weight `[out, in]` as panels `[ceil(out / 32), in, 32]`, zeros behind the last output.

    Args:
        weight: any strides; a view is not copied as a whole.
        dtype: of the panels.
        convert: called with some rows and their place, returns them in `dtype`.
    """
    outputs, depth = weight.shape
    packed = aligned((-(-outputs // PANEL), depth, PANEL), dtype)
    for start in range(0, outputs, AT_ONCE):
        place = slice(start, min(start + AT_ONCE, outputs))
        rows = convert(weight[place], place)
        for first in range(0, len(rows), PANEL):
            panel = rows[first : first + PANEL]
            packed[(start + first) // PANEL, :, : len(panel)] = panel.T
    return packed


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


def held_state(state: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """What an engine of `dtype` holds of a Hugging Face state dict, as float32.

    Biases, LayerNorms and positions are held as they are, the matrices rounded; a Conv1D's
    `[in, out]` has its scales by its columns, as its transpose by rows.
    """
    return {
        name: array if array.ndim < 2 or name.endswith("wpe.weight") else _held(name, array, dtype)
        for name, array in state.items()
    }


def _held(name: str, array: Array, dtype: str) -> Array:
    if dtype == "bfloat16":
        return (bfloat16_bits(array).astype(np.uint32) << 16).view(np.float32)
    if dtype == "int8":
        conv1d = name.endswith(CONV1D)
        steps, scale = quantised(array.T if conv1d else array)
        values: Array = steps * scale[:, None]
        return values.T if conv1d else values
    return array
