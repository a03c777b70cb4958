"""Products of bfloat16, two steps of the depth at a time, added in float32.

AVX512_BF16 has an instruction for it, VDPBF16PS, which does twice the multiply-adds of a float32
FMA. Each of 16 lanes holds a pair, the even step's number in its lower half:

    sum = odd x odd' + sum       rounded once
    sum = even x even' + sum     rounded once

Numbers below the smallest normal one (2^-126) count as zero, and become zero, in every operand and
after each rounding, whatever the CPU's settings are; the sign stays. So a Zen 4 was seen to compute.
The same sums in ordinary vectors stand beside it: for other CPUs, and as what the instruction is
tested against. They differ in one case: a sum just below 2^-126 that rounds up to it is zero for the
instruction, and 2^-126 in vectors.
"""

from std.math import iota
from std.memory import bitcast
from std.sys._assembly import inlined_assembly
from std.sys.info import CompilationTarget
from std.sys.intrinsics import llvm_intrinsic, prefetch

from .narrow import (
    NarrowTile, PLACES, Patcher, STEPS, Words, expanded, expanded_last, group_size,
    prefetch_ahead,
)
from .tile import Floats, PREFETCH, Tile, W, product_and

comptime Pairs = Pointer[UInt32, MutUntrackedOrigin]

comptime HAS_PAIRS = CompilationTarget._has_feature["avx512bf16"]()
"""Whether the CPU that this is compiled for has the instruction."""

comptime UPPER = 0xFFFF0000
comptime SIGN = 0x80000000
comptime EXPONENT = 0x7F800000
comptime QUIET_NAN = 0x7FC0


@always_inline
def product_of_pairs[
    width: SIMDLength, //, real: Bool = HAS_PAIRS and width == W
](
    x: SIMD[DType.uint32, width], y: SIMD[DType.uint32, width], sum: SIMD[DType.float32, width]
) -> SIMD[DType.float32, width]:
    """A sum and the products of two pairs, by the instruction or, if not `real`, by its rules."""
    comptime if real:
        comptime assert width == W, "the instruction takes 16 pairs"
        return llvm_intrinsic[
            "llvm.x86.avx512bf16.dpbf16ps.512", SIMD[DType.float32, width], has_side_effect=False
        ](
            sum,
            bitcast[DType.bfloat16, 2 * W](rebind[SIMD[DType.uint32, W]](x)),
            bitcast[DType.bfloat16, 2 * W](rebind[SIMD[DType.uint32, W]](y)),
        )
    else:
        var first = flushed(product_and(odd(x), odd(y), flushed(sum)))
        return flushed(product_and(even(x), even(y), first))


@always_inline
def product_with_pair[
    width: SIMDLength, //, place: Int, *, real: Bool
](x: Pairs, y: SIMD[DType.uint32, width], sum: SIMD[DType.float32, width]) -> SIMD[
    DType.float32, width
]:
    """As `product_of_pairs`, of the pair at x[place] in every lane (see `tile.product_with`)."""
    comptime if real:
        return inlined_assembly[
            "vdpbf16ps ${4:c}($3){1to16}, $2, $0",
            SIMD[DType.float32, width],
            constraints="=v,0,v,r,i,~{memory}",
            has_side_effect=False,
        ](sum, y, x, Int32(4 * place))
    else:
        return product_of_pairs[real=False](
            SIMD[DType.uint32, width](x.unsafe_load(place)), y, sum
        )


@always_inline
def odd[width: SIMDLength, //](pairs: SIMD[DType.uint32, width]) -> SIMD[DType.float32, width]:
    """The upper halves, as float32."""
    return flushed(bitcast[DType.float32, width](pairs & UPPER))


@always_inline
def even[width: SIMDLength, //](pairs: SIMD[DType.uint32, width]) -> SIMD[DType.float32, width]:
    """The lower halves, as float32."""
    return flushed(bitcast[DType.float32, width](pairs << 16))


@always_inline
def flushed[width: SIMDLength, //](x: SIMD[DType.float32, width]) -> SIMD[DType.float32, width]:
    """Zero, of the same sign, in place of what is below the smallest normal number."""
    var bits = bitcast[DType.uint32, width](x)
    var zero = bits & SIGN
    return bitcast[DType.float32, width]((bits & EXPONENT).eq(0).select(zero, bits))


@always_inline
def bfloat16_bits[width: SIMDLength, //](
    x: SIMD[DType.float32, width]
) -> SIMD[DType.uint32, width]:
    """The nearest bfloat16, ties to even, in the lower half; NaN stays NaN."""
    var bits = bitcast[DType.uint32, width](x)
    var rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    var nan = (bits & 0x7FFFFFFF).gt(EXPONENT)
    return nan.select(SIMD[DType.uint32, width](QUIET_NAN), rounded)


def pair_row(x: Floats, depth: Int, to: Floats):
    """One row's features, rounded to bfloat16, as `ceil(depth / 2)` pairs.

    The last of an odd number of features is paired with zero.
    """
    comptime WIDTH = 2 * W
    var halves = Pointer[UInt16, MutUntrackedOrigin](unsafe_from_address=Int(to))
    var whole = depth // WIDTH * WIDTH
    for k in range(0, whole, WIDTH):
        var bits = bfloat16_bits(x.unsafe_load[width=WIDTH](k))
        halves.unsafe_store(k, bits.cast[DType.uint16]())
    for k in range(whole, depth):
        halves.unsafe_store(k, bfloat16_bits(x.unsafe_load(k)).cast[DType.uint16]())
    if depth % 2:
        halves.unsafe_store(depth, UInt16(0))


def pair_weights(w: Pointer[UInt16, MutUntrackedOrigin], steps: Int, to: Pairs):
    """Weights `[steps, 32]` of bfloat16 as pairs `[ceil(steps / 2), 32]`, the last with zero."""
    comptime WIDTH = 2 * W
    for k in range(0, steps, 2):
        var lower = w.unsafe_load[width=WIDTH](k * WIDTH)
        var upper = SIMD[DType.uint16, WIDTH](0)
        if k + 1 < steps:
            upper = w.unsafe_load[width=WIDTH]((k + 1) * WIDTH)
        var both = lower.interleave(upper)
        to.unsafe_store(k // 2 * WIDTH, bitcast[DType.uint32, WIDTH](both))


@always_inline
def multiply_pairs[
    R: Int, V: Int, //, ahead_too: Bool, real: Bool
](mut tile: Tile[R, V], a: Pairs, b: Pairs, b_step: Int, count: Int, ahead: Floats):
    """Add a x b to a tile: so many pairs of steps, those of a as `[count, R]`.

    With `ahead_too` a cache line from `ahead` on is prefetched for each pair.
    """
    for k in range(count):
        comptime if ahead_too:
            prefetch[PREFETCH](ahead.unsafe_offset(k * W))
        var columns = Array[SIMD[DType.uint32, W], V](fill=SIMD[DType.uint32, W](0))
        comptime for v in range(V):
            columns[v] = b.unsafe_load[width=W](k * b_step + v * W)
        comptime for i in range(R):
            var x = SIMD[DType.uint32, W](a.unsafe_load(k * R + i))
            comptime for v in range(V):
                comptime place = i * V + v
                tile.sums[place] = product_of_pairs[real=real](x, columns[v], tile.sums[place])


@always_inline
def four_paired[
    dtype: DType, lanes: Int
](w: Words[dtype], part: Int) -> Array[SIMD[DType.uint32, lanes], STEPS]:
    """Four steps of narrow weights (narrow.mojo): two pairs of steps of each half of a panel.

    Of the part-th vector of `lanes` columns of a half.
    """
    comptime assert dtype == DType.uint16, "pairs are of bfloat16"
    comptime Vector = SIMD[DType.uint32, lanes]
    comptime line = 2 * W  # words of a cache line
    var found = Array[Vector, STEPS](fill=Vector(0))
    comptime for i in range(STEPS):
        var word: SIMD[dtype, 2 * lanes]
        comptime if i < STEPS - 1:
            word = expanded(w.unsafe_load[width=2 * lanes](i * line + part * 2 * lanes))
        else:
            word = expanded_last[dtype, 2 * lanes](w, part * 2 * lanes, line)
        # Each lane holds column c, and column 16 + c in its upper half.
        var both = bitcast[DType.uint32, lanes](word)
        comptime if i % 2 == 0:
            found[i] = both
        else:
            var first = found[i - 1]
            found[i - 1] = first & 0xFFFF | both << 16
            found[i] = first >> 16 | both & UPPER
    return found^


@always_inline
def multiply_four_paired[
    dtype: DType, R: Int, lanes: Int, half: Int, //, real: Bool
](
    mut tile: NarrowTile[R, lanes, half], a: Pairs, w: Words[dtype], patcher: Patcher, patched: Bool
):
    """As `NarrowTile.multiply_four`, of rows whose pairs lie side by side in a."""
    comptime for part in range(W // lanes):
        var found = four_paired[dtype, lanes](w, part)
        comptime if part == 0:
            tile.prefetch_ahead(w)
        if patched:
            put_paired[part=part](patcher, found)
        comptime for pair in range(STEPS // 2):
            comptime for i in range(R):
                comptime for h in range(tile.HALVES):
                    comptime place = (i * tile.HALVES + h) * (W // lanes) + part
                    tile.sums[place] = product_with_pair[pair * R + i, real=real](
                        a, found[2 * pair + tile.FIRST + h], tile.sums[place]
                    )


@always_inline
def put_paired[
    lanes: Int, //, part: Int
](patcher: Patcher, mut found: Array[SIMD[DType.uint32, lanes], STEPS]):
    """As `Patcher.put`, into what `four_paired` found."""
    comptime Lanes = SIMD[DType.uint32, lanes]
    var columns = iota[DType.uint32, lanes]() + Lanes(part * lanes)
    var some = patcher.copy()
    var first = some.place() // PLACES * PLACES
    while some.is_before(first + PLACES):
        var step, column = divmod(some.place() - first, 2 * W)
        var bits = bitcast[DType.uint32, 1](some.value()) >> 16
        var shift, others = (UInt32(16), UInt32(0xFFFF)) if step % 2 else (UInt32(0), UInt32(UPPER))
        comptime for vector in range(STEPS):
            var lane = column - vector % 2 * W if step // 2 == vector // 2 else -1
            var here = columns.eq(Lanes(UInt32(lane)))
            var both = found[vector] & others | Lanes(bits << shift)
            found[vector] = here.select(both, found[vector])
        some.next += 1


@always_inline
def widen_paired[
    dtype: DType, lanes: Int
](w: Words[dtype], groups: Int, to: Pairs, ahead_too: Bool):
    """As `narrow.widen`, as pairs `[2 groups, 32]`."""
    for g in range(groups):
        comptime for part in range(W // lanes):
            var group = w.unsafe_offset(g * group_size[dtype]())
            comptime if part == 0:
                if ahead_too:
                    prefetch_ahead(group)
            var found = four_paired[dtype, lanes](group, part)
            comptime for i in range(STEPS):
                to.unsafe_store((g * STEPS + i) * W + part * lanes, found[i])


@always_inline
def patch_paired(mut patcher: Patcher, start: Int, count: Int, to: Pairs):
    """Put the patches of places `start` to `start + count` where they belong in pairs."""
    var halves = Pointer[UInt16, MutUntrackedOrigin](unsafe_from_address=Int(to))
    while patcher.is_before(start + count):
        var step, column = divmod(patcher.place() - start, 2 * W)
        var bits = bitcast[DType.uint32, 1](patcher.value()) >> 16
        halves.unsafe_store((step // 2 * 2 * W + column) * 2 + step % 2, bits.cast[DType.uint16]())
        patcher.next += 1
