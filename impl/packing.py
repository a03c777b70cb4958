"""Weights in the layout of the Mojo kernels, in memory that a core reads in whole cache lines.

A linear layer's `[out, in]` becomes panels `[ceil(out / 32), in, 32]`: 32 output features side by
side, so that one pass over memory serves decode and prefill alike (impl/kernels/linear.mojo).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

PANEL = 32
"""Output features of a panel, as in impl/kernels/linear.mojo."""

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


def panels(weight: Array, dtype: npt.DTypeLike = np.float32) -> Array:
    """A weight `[out, in]` as panels `[ceil(out / 32), in, 32]`, zeros behind the last output."""
    outputs, depth = weight.shape
    packed = aligned((-(-outputs // PANEL), depth, PANEL), dtype)
    whole = outputs // PANEL
    first = weight[: whole * PANEL].reshape(whole, PANEL, depth)
    packed[:whole] = first.transpose(0, 2, 1)
    if rest := outputs - whole * PANEL:
        packed[whole, :, :rest] = weight[whole * PANEL :].T
    return packed
