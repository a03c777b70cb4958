"""Weights in fewer bits than their type has, and none of them lost.

A weight's sign and fraction look like noise, its exponent does not: nearly all weights of a panel
lie within 16 powers of 2. So 4 bits tell the exponent, float32 takes 28 bits and bfloat16 12, and
memory gives an eighth or a third more weights in the same time. A weight outside that window is
kept whole beside the panel, as a patch.

Four steps of the depth lie together. Float32 has 8 vectors of 28 bits there: each of 7 vectors of
32-bit lanes holds one, and a nibble of the eighth. Bfloat16 has 4 vectors of 12 bits, the last one
in the nibbles of 3. The nibble lies where a number's exponent has 4 bits more, so that all but the
last vector are widened by one instruction that puts 0111 there.

What is stored is w / scale: the scale, a power of 2, brings a panel's window to the exponents 112
to 127. What a column sums up is scaled once, which is exact.

An example: the weight 0.15625 = 1.25 x 2^-3 has the exponent -3 + 127 = 124. Say that its panel's
window begins at 109 (2^-18). The scale is 2^(109 - 112) = 0.125, and what is stored is 0.15625 /
0.125 = 1.25, whose exponent 127 is 112 + 15: 4 bits hold the 15. The window ends with it at 124, so
that 0.25 would be a patch, and so would 0, whose exponent is 0.

    float32     0 01111100 01000000000000000000000     sign, 8 bits of exponent, 23 of fraction
    28 bits     0 nnnn1111 01000000000000000000000     a nibble of another weight between
    expanded    0 01111111 01000000000000000000000     1.25
"""

from std.math import iota
from std.memory import bitcast
from std.sys.intrinsics import PrefetchOptions, prefetch

from .tile import Floats, W, product_with

comptime STEPS = 4
"""Steps of the depth that are stored together."""

comptime PLACES = STEPS * 2 * W
"""Weights of four steps of a panel."""

comptime FIRST_EXPONENT = 112
"""Of the window, as it is stored; the last is 127, that of 1.0 to 2.0."""

comptime AHEAD = 8192
"""Bytes between the weights that are multiplied and those that are prefetched."""

comptime PREFETCHED_FROM = 4
"""Rows from which on weights are prefetched. With so many a core computes long enough between two
lines that the CPU's own prefetcher is late. With one or two it was not, on a Zen 4, and any
prefetching made decoding slower (NOTES.md, v11)."""

comptime TO_SECOND_CACHE = PrefetchOptions().for_read().medium_locality().to_data_cache()
"""Not to the first: lines that wait there push out the activations."""

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
def prefetch_ahead[dtype: DType](w: Words[dtype]):
    """Prefetch four steps that lie `AHEAD` bytes after these."""
    comptime for i in range(vectors[dtype]()):
        prefetch[TO_SECOND_CACHE](Floats(unsafe_from_address=Int(w) + AHEAD + i * 64))


@always_inline
def expanded[dtype: DType, width: Int](word: SIMD[dtype, width]) -> SIMD[dtype, width]:
    """A word as the bits of a number: 0111, the upper half of each exponent from 112 to 127, takes
    the place of the nibble; the other 4 bits of the exponent are the lower half."""
    comptime if dtype == DType.uint32:
        return word & 0x87FFFFFF | SIMD[dtype, width](FIRST_EXPONENT << 23)
    else:
        return word & 0x87FF | SIMD[dtype, width](FIRST_EXPONENT << 7)


@always_inline
def expanded_last[
    dtype: DType, width: Int
](w: Words[dtype], place: Int, apart: Int) -> SIMD[dtype, width]:
    """The last vector's numbers, from the nibbles of the others, the first one's uppermost.

    Together they are the exponent's 4 bits and the fraction without its lowest 3, in place; these
    and the sign stand above, where a rotation brings them to both ends.
    """
    comptime fraction = 23 if dtype == DType.uint32 else 7
    comptime nibble = 15 << (fraction + 4)
    comptime ends = (1 << (fraction + 8)) | 7
    comptime between = (1 << (fraction + 4)) - 8
    var found = SIMD[dtype, width](0)
    comptime for i in range(vectors[dtype]()):
        var word = w.unsafe_load[width=width](place + i * apart)
        found |= word >> SIMD[dtype, width](4 * i) & SIMD[dtype, width](nibble >> 4 * i)
    comptime bits = 9 + fraction
    var rotated = found << 4 | found >> SIMD[dtype, width](bits - 4)
    var number = found & SIMD[dtype, width](between) | rotated & SIMD[dtype, width](ends)
    return number | SIMD[dtype, width](FIRST_EXPONENT << fraction)


@always_inline
def four_steps[
    dtype: DType, lanes: Int
](w: Words[dtype], part: Int) -> Array[SIMD[DType.float32, lanes], 2 * STEPS]:
    """Four steps of `lanes` columns of each half of a panel: those of the part-th vector of a half."""
    comptime count = vectors[dtype]()
    comptime line = group_size[dtype]() // count  # words of a cache line
    comptime width = line // W * lanes
    comptime Vector = SIMD[DType.float32, lanes]
    var found = Array[Vector, 2 * STEPS](fill=Vector(0))
    comptime for i in range(count + 1):
        var word: SIMD[dtype, width]
        comptime if i < count:
            word = expanded(w.unsafe_load[width=width](i * line + part * width))
        else:
            word = expanded_last[dtype, width](w, part * width, line)
        comptime if dtype == DType.uint32:
            found[i] = bitcast[DType.float32, lanes](word)
        else:  # lane c holds column c, and column 16 + c in its upper half
            var both = bitcast[DType.uint32, lanes](word)
            found[2 * i] = bitcast[DType.float32, lanes](both << 16)
            found[2 * i + 1] = bitcast[DType.float32, lanes](both & 0xFFFF0000)
    return found^


@always_inline
def widen[dtype: DType, lanes: Int](w: Words[dtype], groups: Int, to: Floats, ahead_too: Bool):
    """So many times four steps of 32 columns, as float32 `[4 groups, 32]`.

    With `ahead_too` others are prefetched: where more than one tile is multiplied with these.
    """
    for g in range(groups):
        comptime for part in range(W // lanes):
            var group = w.unsafe_offset(g * group_size[dtype]())
            comptime if part == 0:
                if ahead_too:
                    prefetch_ahead(group)
            var found = four_steps[dtype, lanes](group, part)
            comptime for i in range(2 * STEPS):
                to.unsafe_store(g * STEPS * 2 * W + i * W + part * lanes, found[i])


comptime BOTH = -1
"""Halves of a panel, as a tile's `half`."""


struct NarrowTile[R: Int, lanes: Int, half: Int = BOTH](Copyable, Movable):
    """As Tile: sums of R rows and a panel's 32 columns, or a `half` of them, in vectors of so many
    lanes."""

    comptime HALVES = 2 if Self.half == BOTH else 1
    comptime FIRST = max(Self.half, 0)
    comptime PARTS = W // Self.lanes
    comptime Vector = SIMD[DType.float32, Self.lanes]

    var sums: Array[Self.Vector, Self.R * Self.HALVES * Self.PARTS]  # [R, HALVES, PARTS]

    @always_inline
    def __init__(out self):
        self.sums = Array[Self.Vector, Self.R * Self.HALVES * Self.PARTS](fill=Self.Vector(0))

    @always_inline
    def store(self, c: Floats):
        """Put the sums into `[R, 32]`."""
        comptime for i in range(Self.R):
            comptime for h in range(Self.HALVES):
                comptime for part in range(Self.PARTS):
                    var to = c.unsafe_offset((2 * i + Self.FIRST + h) * W + part * Self.lanes)
                    to.unsafe_store(0, self.sums[(i * Self.HALVES + h) * Self.PARTS + part])

    @always_inline
    def multiply_four[
        dtype: DType
    ](mut self, a: Floats, w: Words[dtype], patcher: Patcher, patched: Bool):
        """Add four steps, of rows that lie side by side in a, and of narrow weights.

        If they are `patched`, the next patches are theirs.
        """
        comptime for part in range(Self.PARTS):
            var found = four_steps[dtype, Self.lanes](w, part)
            comptime if part == 0:
                self.prefetch_ahead(w)
            if patched:
                patcher.put[part=part](found)
            comptime for k in range(STEPS):
                comptime for i in range(Self.R):
                    comptime for h in range(Self.HALVES):
                        comptime place = (i * Self.HALVES + h) * Self.PARTS + part
                        self.sums[place] = product_with[k * Self.R + i](
                            a, found[2 * k + Self.FIRST + h], self.sums[place]
                        )

    @always_inline
    def prefetch_ahead[dtype: DType](self, w: Words[dtype]):
        """Prefetch four steps, where that pays. The second half finds them near."""
        comptime if Self.R >= PREFETCHED_FROM and Self.FIRST == 0:
            prefetch_ahead(w)


@always_inline
def weight_at[dtype: DType](w: Words[dtype], step: Int, column: Int) -> Float32:
    """A single weight of a panel, where it is no patch."""
    comptime lanes = group_size[dtype]() // vectors[dtype]()
    var group, inner = divmod(step, STEPS)
    var half, c = divmod(column, W)
    var from_ = w.unsafe_offset(group * group_size[dtype]())
    comptime if dtype == DType.uint32:
        var i = 2 * inner + half
        var word: Scalar[dtype]
        if i < 7:
            word = expanded[dtype, 1](from_.unsafe_load(i * lanes + c))
        else:
            word = expanded_last[dtype, 1](from_, c, lanes)
        return bitcast[DType.float32, 1](UInt32(word))
    else:
        var i = 2 * c + half
        var word: Scalar[dtype]
        if inner < 3:
            word = expanded[dtype, 1](from_.unsafe_load(inner * lanes + i))
        else:
            word = expanded_last[dtype, 1](from_, i, lanes)
        return bitcast[DType.float32, 1](UInt32(word) << 16)


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
        return self.place() // PLACES if self.next < self.end else none

    @always_inline
    def put[
        lanes: Int, //, part: Int
    ](self, mut found: Array[SIMD[DType.float32, lanes], 2 * STEPS]):
        """Those of the next patch's four steps, into what `four_steps` found for this part."""
        comptime Lanes = SIMD[DType.int32, lanes]
        var columns = iota[DType.int32, lanes]() + Lanes(part * lanes)
        var some = self.copy()
        var first = some.place() // PLACES * PLACES
        while some.is_before(first + PLACES):
            var value = SIMD[DType.float32, lanes](some.value())
            comptime for vector in range(2 * STEPS):
                var here = columns.eq(Lanes(Int32(some.place() - first - vector * W)))
                found[vector] = here.select(value, found[vector])
            some.next += 1

    @always_inline
    def skip(mut self):
        """Go on to the patches after the next one's four steps."""
        var end = (self.place() // PLACES + 1) * PLACES
        while self.is_before(end):
            self.next += 1

    @always_inline
    def is_before(self, place: Int) -> Bool:
        """Whether there is a next patch, and before a place."""
        return self.next < self.end and self.place() < place

    @always_inline
    def patch(mut self, start: Int, count: Int, to: Floats):
        """Put those of places `start` to `start + count` where they belong."""
        while self.is_before(start + count):
            to.unsafe_store(self.place() - start, self.value())
            self.next += 1
