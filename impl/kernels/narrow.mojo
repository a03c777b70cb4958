"""Weights in fewer bits than their type has, and none of them lost.

A weight's sign and fraction look like noise, its exponent does not: nearly all weights of a panel
lie within 16 powers of 2. So 4 bits tell the exponent, float32 takes 28 bits and bfloat16 12, and
memory gives an eighth or a third more weights in the same time. A weight outside that window is
kept whole beside the panel, as a patch.

Four steps of the depth lie together. Float32 has 8 vectors of 28 bits there: each of 7 vectors of
32-bit lanes holds one in its upper bits, and a nibble of the eighth below them. Bfloat16 has 4
vectors of 12 bits, the last one in the nibbles of 3.

What is stored is w / scale: the scale, a power of 2, brings a panel's window to the exponents 112
to 127. What a column sums up is scaled once, which is exact.
"""

from std.memory import bitcast
from std.sys.intrinsics import prefetch

from .tile import F32, Floats, SOON, W

comptime STEPS = 4
"""Steps of the depth that are stored together."""

comptime AHEAD = 4096
"""Bytes between what is read and what is called from memory."""

comptime Integers32 = Pointer[Int32, MutUntrackedOrigin]
comptime Words[dtype: DType] = Pointer[Scalar[dtype], MutUntrackedOrigin]


@always_inline
def vectors[dtype: DType]() -> Int:
    """Cache lines of four steps: 7 of 32-bit lanes, or 3 of 16-bit lanes."""
    comptime if dtype == DType.uint32:
        return 7
    return 3


@always_inline
def group_size[dtype: DType]() -> Int:
    """Words of four steps."""
    comptime if dtype == DType.uint32:
        return 7 * W
    return 3 * 2 * W


@always_inline
def number[dtype: DType, width: Int](word: SIMD[dtype, width]) -> SIMD[dtype, width]:
    """Sign, 4 bits of exponent and fraction, from the upper bits of a word to a number's own."""
    comptime if dtype == DType.uint32:
        var spread = bitcast[dtype, width](bitcast[DType.int32, width](word) >> 4)
        return spread & 0x87FFFFFF | SIMD[dtype, width](112 << 23)
    else:
        var spread = bitcast[dtype, width](bitcast[DType.int16, width](word) >> 4)
        return spread & 0x87FF | SIMD[dtype, width](112 << 7)


@always_inline
def last[
    dtype: DType, width: Int
](w: Words[dtype], at: Int, apart: Int) -> SIMD[dtype, width]:
    """The vector that the nibbles of the others make up."""
    var word = SIMD[dtype, width](0)
    comptime for i in range(vectors[dtype]()):
        comptime up = 4 * (vectors[dtype]() - i)
        var nibble = w.unsafe_load[width=width](at + i * apart) << SIMD[dtype, width](up)
        word |= nibble & SIMD[dtype, width](15 << up)
    return word


@always_inline
def numbers[dtype: DType](w: Words[dtype]) -> Array[F32, 2 * STEPS]:
    """Four steps of 32 columns, two vectors a step; the next lines are called from memory."""
    comptime count = vectors[dtype]()
    comptime lanes = group_size[dtype]() // count
    var found = Array[F32, 2 * STEPS](fill=F32(0))
    comptime for i in range(count + 1):
        var word: SIMD[dtype, lanes]
        comptime if i < count:
            prefetch[SOON](Floats(unsafe_from_address=Int(w.unsafe_offset(i * lanes)) + AHEAD))
            word = w.unsafe_load[width=lanes](i * lanes)
        else:
            word = last[dtype, lanes](w, 0, lanes)
        comptime if dtype == DType.uint32:
            found[i] = bitcast[DType.float32, W](number(word))
        else:  # column c beside column 16 + c
            var both = bitcast[DType.uint32, W](number(word))
            found[2 * i] = bitcast[DType.float32, W](both << 16)
            found[2 * i + 1] = bitcast[DType.float32, W](both & 0xFFFF0000)
    return found^


@always_inline
def widen[dtype: DType](w: Words[dtype], groups: Int, to: Floats):
    """So many times four steps of 32 columns, as float32 `[4 groups, 32]`."""
    for g in range(groups):
        var found = numbers(w.unsafe_offset(g * group_size[dtype]()))
        comptime for i in range(2 * STEPS):
            to.unsafe_store(g * STEPS * 2 * W + i * W, found[i])


@always_inline
def one[dtype: DType](w: Words[dtype], step: Int, column: Int) -> Float32:
    """A single weight of a panel."""
    comptime lanes = group_size[dtype]() // vectors[dtype]()
    var group, inner = divmod(step, STEPS)
    var half, c = divmod(column, W)
    var from_ = w.unsafe_offset(group * group_size[dtype]())
    comptime if dtype == DType.uint32:
        var i = 2 * inner + half
        var word = from_.unsafe_load(i * lanes + c) if i < 7 else last[dtype, 1](from_, c, lanes)
        return bitcast[DType.float32, 1](UInt32(number[dtype, 1](word)))
    else:
        var i = 2 * c + half
        var at = inner * lanes + i
        var word = from_.unsafe_load(at) if inner < 3 else last[dtype, 1](from_, i, lanes)
        return bitcast[DType.float32, 1](UInt32(number[dtype, 1](word)) << 16)


@fieldwise_init
struct Patches(Copyable, Movable):
    """Weights outside their panel's window: where each panel's begin, then place and bits."""

    var starts: Integers32  # [panels + 1], of a layer
    var pairs: Integers32  # [patches, 2], of all layers

    @always_inline
    def of(self, panel: Int) -> Patcher:
        """Those of one panel."""
        var first, end = self.starts.unsafe_load(panel), self.starts.unsafe_load(panel + 1)
        return Patcher(self.pairs, Int(first), Int(end))


@fieldwise_init
struct Patcher(Copyable, Movable):
    """Goes through a panel's patches, which are sorted by place: step * 32 + column."""

    var pairs: Integers32
    var next: Int
    var end: Int

    @always_inline
    def place(self) -> Int:
        return Int(self.pairs.unsafe_load(2 * self.next))

    @always_inline
    def value(self) -> Float32:
        return bitcast[DType.float32, 1](self.pairs.unsafe_load(2 * self.next + 1))

    @always_inline
    def group(self, none: Int) -> Int:
        """The four steps that the next patch is in, `none` without one."""
        return self.place() // (STEPS * 2 * W) if self.next < self.end else none

    @always_inline
    def patch(mut self, start: Int, count: Int, to: Floats):
        """Put those of places `start` to `start + count` where they belong."""
        while self.next < self.end and self.place() < start + count:
            to.unsafe_store(self.place() - start, self.value())
            self.next += 1
