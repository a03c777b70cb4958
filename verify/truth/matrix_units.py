"""What CPUs' units for bfloat16 compute, in NumPy, and float32 out of their products.

    pairs    VDPBF16PS (AVX512_BF16): two steps of the depth at a time, the odd one first, each
             product added with one rounding
    tiles    TDPBF16PS (AMX): the even and the odd of 32 steps in a chain each, which are added up
             and then added to the result once

Both count numbers below 2^-126 as zero, in operands and results, whatever the CPU's settings are.
For tiles this is Intel's description of the operation (Software Developer's Manual, TDPBF16PS); for
pairs it is what a Zen 4 computed in each of 4.8 million drawn cases.

A float32 is the sum of three bfloat16 numbers, each the nearest to what the ones before leave (8
bits each). Of the nine products of two such sums six matter: what is left out is 2^-24 of the
result. See Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For
Higher-Precision Computations (2019, arXiv 1904.06376).

    python -m verify.truth.matrix_units

prints how far each form is from float64, beside a chain of FMAs and BLAS.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from verify.judge.metrics import rms
from verify.judge.rounding import to_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reference.trace import Array

DEPTH = 32
"""Steps of one tile product."""

SMALLEST = np.finfo(np.float32).smallest_normal

LEADING = ((0, 0),)
CORRECTIONS = ((0, 2), (1, 1), (2, 0), (0, 1), (1, 0))
"""Which term of either factor, the smallest products first."""

FIRST_CORRECTIONS = CORRECTIONS[3:]
"""With these alone 16 bits of each factor count, as in NVIDIA's TF32 times three."""


def terms(x: Array, count: int = 3) -> list[Array]:
    """Float32 numbers as the sum of so many bfloat16 ones, as float32 arrays of `x`'s shape."""
    found, left = [], x.astype(np.float32)
    for _ in range(count):
        found.append(to_bf16(left))
        left = left - found[-1]
    return found


def flushed(x: Array) -> Array:
    """Zero, with the sign kept, in place of float32 numbers below 2^-126."""
    return np.where(np.abs(x) < SMALLEST, np.copysign(np.float32(0), x), x).astype(np.float32)


def fma(a: Array, b: Array, c: Array) -> Array:
    """A b + c in float32. Products of bfloat16 are exact in float64, and the sum is rounded by it
    first, which decides otherwise in one case of 2^29."""
    return flushed((a.astype(np.float64) * b + c).astype(np.float32))


def pairs(a: Array, b: Array) -> Array:
    """`[M, K]` by `[K, N]` of bfloat16 numbers, K even, as VDPBF16PS adds them up."""
    a, b = flushed(a), flushed(b)
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(0, a.shape[1], 2):
        for step in (k + 1, k):
            total = fma(a[:, step, None], b[step], total)
    return total


def tile_product(c: Array, a: Array, b: Array) -> Array:
    """`[M, N]` and the product of `[M, 32]` by `[32, N]` of bfloat16, as TDPBF16PS adds it."""
    a, b = flushed(a), flushed(b)
    even = odd = np.zeros_like(c)
    for k in range(0, DEPTH, 2):
        even = fma(a[:, k, None], b[k], even)
        odd = fma(a[:, k + 1, None], b[k + 1], odd)
    return flushed(flushed(c) + flushed(even + odd))


def tiles(a: Array, b: Array, pairs_of_terms: Sequence[tuple[int, int]] = LEADING) -> Array:
    """`[M, K]` by `[K, N]` of float32, K a multiple of 32, by products of their terms.

    The leading product and the corrections have a sum each over the whole depth.
    """
    left, right = terms(a), terms(b)
    leading = corrections = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(0, a.shape[1], DEPTH):
        place = slice(k, k + DEPTH)
        for i, j in pairs_of_terms:
            one, other = left[i][:, place], right[j][place]
            if (i, j) in LEADING:
                leading = tile_product(leading, one, other)
            else:
                corrections = tile_product(corrections, one, other)
    return leading + corrections


def six(a: Array, b: Array) -> Array:
    """Float32 by six products."""
    return tiles(a, b, (*CORRECTIONS, *LEADING))


def three(a: Array, b: Array) -> Array:
    """Half of float32's bits, by three products."""
    return tiles(a, b, (*FIRST_CORRECTIONS, *LEADING))


def chains(a: Array, b: Array, block: int = 0) -> Array:
    """Float32 FMAs: one chain over the depth, or one for each block of it, added up in order."""
    total = np.zeros((len(a), b.shape[1]), np.float32)
    size = block or a.shape[1]
    for start in range(0, a.shape[1], size):
        part = np.zeros_like(total)
        for k in range(start, min(start + size, a.shape[1])):
            part = fma(a[:, k, None], b[k], part)
        total = total + part if block else part
    return total


def of_pairs(a: Array, b: Array) -> Array:
    """Both factors rounded to bfloat16, multiplied in pairs."""
    return pairs(to_bf16(a), to_bf16(b))


FORMS: dict[str, Callable[[Array, Array], Array]] = {
    "six products, tiles": six,
    "three products, tiles": three,
    "one product, tiles": tiles,
    "one product, pairs": of_pairs,
    "one chain of FMAs": chains,
    "FMAs in blocks of 32": lambda a, b: chains(a, b, 32),
    "FMAs in blocks of 64": lambda a, b: chains(a, b, 64),
    "BLAS (NumPy's)": lambda a, b: a @ b,
}
"""Ways to multiply two float32 matrices."""


def inputs(kind: str, depth: int, seed: int = 0) -> tuple[Array, Array]:
    """Factors `[16, depth]` and `[depth, 64]`.

    Args:
        kind: `normal`; `skewed`, all positive, so that sums grow along the depth; `badly scaled`,
            over 40 powers of 2 from feature to feature, small where the other factor is large.
        depth: K.
        seed: of the draws.
    """
    rng = np.random.default_rng([seed, depth])
    a, b = rng.standard_normal((16, depth)), rng.standard_normal((depth, 64)) * 0.02
    if kind == "skewed":
        a, b = np.exp(a), np.abs(b)
    elif kind == "badly scaled":
        powers = 2.0 ** rng.integers(-20, 21, depth)
        a, b = a * powers, b / powers[:, None]
    return a.astype(np.float32), b.astype(np.float32)


KINDS = ("normal", "skewed", "badly scaled")
DEPTHS = (64, 256, 768, 1024, 3072, 4096)


def relative_error(found: Array, a: Array, b: Array) -> float:
    """Rms error to float64 over the rms of the result."""
    exact = a.astype(np.float64) @ b.astype(np.float64)
    return rms(found - exact) / rms(exact)


def main() -> None:
    """Print the errors of every form."""
    for kind in KINDS:
        print(f"{kind:24s}" + "".join(f"{f'K={depth}':>10s}" for depth in DEPTHS))
        for name, form in FORMS.items():
            row = []
            for depth in DEPTHS:
                a, b = inputs(kind, depth)
                row.append(f"{relative_error(form(a, b), a, b):10.1e}")
            print(f"  {name:22s}" + "".join(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
