"""What CPUs' units for bfloat16 compute, in NumPy, and float32 out of their products.

    pairs    VDPBF16PS (AVX512_BF16): two steps of the depth at a time, the odd one first, each
             product added with one rounding
    tiles    TDPBF16PS (AMX): the even and the odd of 32 steps in a chain each, which are added up
             and then added to the result once

Both count numbers below 2^-126 as zero, in operands and results, whatever the CPU's settings are.
For tiles this is Intel's description of the operation (Software Developer's Manual, TDPBF16PS); for
pairs it is what a Zen 4 computed in each of 4.8 million drawn cases. One case is left out: a sum
just below 2^-126 that rounds up to it is zero for the hardware, and 2^-126 here.

A float32 is the sum of three bfloat16 numbers, each the nearest to what the ones before leave (8
bits each). Of the nine products of two such sums six matter: what is left out is 2^-24 of the
result. See Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For
Higher-Precision Computations (2019, arXiv 1904.06376).

    python -m verify.truth.matrix_units

prints how far each form is from float64, beside a chain of FMAs and BLAS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.judge.metrics import rms
from verify.judge.rounding import to_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reference.trace import Array

DEPTH = 32
"""Steps of one tile product."""

TILE_ROWS = 16
"""Rows of a tile."""

TERMS = 3
"""Bfloat16 numbers that a float32 is the sum of."""

SMALLEST = np.finfo(np.float32).smallest_normal

LEADING = ((0, 0),)
CORRECTIONS = ((0, 2), (1, 1), (2, 0), (0, 1), (1, 0))
"""Which term of either factor, the smallest products first."""

FIRST_CORRECTIONS = CORRECTIONS[3:]
"""With these alone 16 bits of each factor count, as in NVIDIA's TF32 times three."""


def terms(x: Array, cut: int | None = None) -> list[Array]:
    """Float32 numbers as the sum of three bfloat16 ones, as float32 arrays of `x`'s shape.

    Args:
        x: finite numbers.
        cut: a fault: which term is cut off in place of being rounded.
    """
    found, left = [], x.astype(np.float32)
    for term in range(TERMS):
        found.append(_cut_off(left) if term == cut else to_bf16(left))
        left = left - found[-1]
    return found


def _cut_off(x: Array) -> Array:
    """The upper half of each number's bits."""
    return (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _kept(x: Array) -> Array:
    return x


def flushed(x: Array) -> Array:
    """Zero, with the sign kept, in place of float32 numbers below 2^-126."""
    return np.where(np.abs(x) < SMALLEST, np.copysign(np.float32(0), x), x).astype(np.float32)


def fma(a: Array, b: Array, c: Array, flush: Callable[[Array], Array] = flushed) -> Array:
    """A b + c in float32, by way of float64.

    Products of bfloat16 are exact there; the sum is rounded twice, which decides otherwise in one
    case of 2^29.
    """
    return flush((a.astype(np.float64) * b + c).astype(np.float32))


def pairs(a: Array, b: Array) -> Array:
    """`[M, K]` by `[K, N]` of bfloat16 numbers, K even, as VDPBF16PS adds them up."""
    a, b = flushed(a), flushed(b)
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(0, a.shape[1], 2):
        for step in (k + 1, k):
            total = fma(a[:, step, None], b[step], total)
    return total


def tile_product(c: Array, a: Array, b: Array, flush: Callable[[Array], Array]) -> Array:
    """`[M, N]` and the product of `[M, 32]` by `[32, N]` of bfloat16, as TDPBF16PS adds it."""
    a, b = flush(a), flush(b)
    even = odd = np.zeros_like(c)
    for k in range(0, DEPTH, 2):
        even = fma(a[:, k, None], b[k], even, flush)
        odd = fma(a[:, k + 1, None], b[k + 1], odd, flush)
    return flush(flush(c) + flush(even + odd))


def tiles(
    a: Array,
    b: Array,
    products: Sequence[tuple[int, int]] = LEADING,
    *,
    without_corrections: slice = slice(0, 0),
    cut: tuple[str, int] = ("", 0),
    flush: Callable[[Array], Array] = flushed,
) -> Array:
    """`[M, K]` by `[K, N]` of float32, K a multiple of 32, by products of their terms.

    The leading product and the corrections have a sum each over the whole depth.

    Args:
        a: float32 `[M, K]`.
        b: float32 `[K, N]`.
        products: which term of `a` times which of `b`, in their order.
        without_corrections: a fault: steps of the depth that have none.
        cut: a fault: whose term is cut off in place of being rounded, and which.
        flush: what becomes of numbers below 2^-126.
    """
    whose, which = cut
    left = terms(a, cut=which if whose == "activations" else None)
    right = terms(b, cut=which if whose == "weights" else None)
    leading = corrections = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(0, a.shape[1], DEPTH):
        place = slice(k, k + DEPTH)
        for i, j in products:
            one, other = left[i][:, place], right[j][place]
            if (i, j) in LEADING:
                leading = tile_product(leading, one, other, flush)
            elif not without_corrections.start <= k < without_corrections.stop:
                corrections = tile_product(corrections, one, other, flush)
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
        total = total + part if start else part
    return total


def of_pairs(a: Array, b: Array, block: int = 0) -> Array:
    """Both factors rounded to bfloat16 and multiplied in pairs, in blocks of the depth."""
    a, b, size = to_bf16(a), to_bf16(b), block or a.shape[1]
    total = pairs(a[:, :size], b[:size])
    for start in range(size, a.shape[1], size):
        place = slice(start, start + size)
        total = total + pairs(a[:, place], b[place])
    return total


FORMS: dict[str, Callable[[Array, Array], Array]] = {
    "six products, tiles": six,
    "three products, tiles": three,
    "one product, tiles": tiles,
    "one product, pairs": of_pairs,
    "one chain of FMAs": chains,
    "FMAs in blocks of 256": lambda a, b: chains(a, b, 256),
    "FMAs in blocks of 32": lambda a, b: chains(a, b, 32),
    "FMAs in blocks of 64": lambda a, b: chains(a, b, 64),
    "BLAS (NumPy's)": lambda a, b: a @ b,
}
"""Ways to multiply two float32 matrices."""


def inputs(kind: str, depth: int, seed: int = 0) -> tuple[Array, Array]:
    """Factors `[16, depth]` and `[depth, 64]`.

    Args:
        kind: `normal`; `skewed`, all positive, so that sums grow along the depth; `badly scaled`,
            each factor over 20 powers of 2 from feature to feature.
        depth: K.
        seed: of the draws.
    """
    rng = np.random.default_rng([seed, depth])
    a, b = rng.standard_normal((16, depth)), rng.standard_normal((depth, 64)) * 0.02
    if kind == "skewed":
        a, b = np.exp(a), np.abs(b)
    elif kind == "badly scaled":
        powers = 2.0 ** rng.integers(-10, 11, (2, depth))
        a, b = a * powers[0], b * powers[1][:, None]
    return a.astype(np.float32), b.astype(np.float32)


KINDS = ("normal", "skewed", "badly scaled")
DEPTHS = (64, 256, 768, 1024, 3072, 4096)


STRIP = 256
"""Steps of the depth whose weights are split together (impl/kernels/linear.mojo's SPAN)."""


def faults(a: Array, b: Array) -> Iterator[tuple[str, Array]]:
    """Ways to get six products wrong, by name, with what comes out.

    The third term is what is left, 8 bits at most: to cut it off changes nothing.
    """
    yield "three products instead of six", three(a, b)
    yield "one product instead of six", tiles(a, b)
    for start in range(0, a.shape[1], STRIP):
        place = slice(start, start + STRIP)
        yield (
            f"no corrections for steps {start} to {min(start + STRIP, a.shape[1])}",
            tiles(a, b, (*CORRECTIONS, *LEADING), without_corrections=place),
        )
    for which in ("activations", "weights"):
        for cut in range(TERMS - 1):
            name = f"term {cut + 1} of the {which} is truncated, not rounded"
            yield name, tiles(a, b, (*CORRECTIONS, *LEADING), cut=(which, cut))
    yield "numbers below 2^-126 are kept", tiles(a, b, (*CORRECTIONS, *LEADING), flush=_kept)
    whole = six(a, b)
    for rows in range(1, TILE_ROWS):
        stale = whole.copy()
        stale[np.arange(len(a)) % TILE_ROWS >= rows] = 0
        yield f"tiles are configured for {rows} rows of {TILE_ROWS}", stale


def named(found: Array, a: Array, b: Array) -> str:
    """What a product by six of bfloat16 did: nothing where it is right, else the fault's name.

    Args:
        found: what was computed, float32 `[M, N]`.
        a: `[M, K]`, float32, K a multiple of 32.
        b: `[K, N]`.
    """
    if np.array_equal(found, six(a, b)):
        return ""
    same = (name for name, wrong in faults(a, b) if np.array_equal(found, wrong))
    return next(same, "another order of sums, or another fault")


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
    main()
